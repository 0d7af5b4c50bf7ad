/** What was made in this browser, with its inputs to load again. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { clear, drop, type Made, made } from "../history";
import { say } from "../say";
import { language, t } from "../texts";
import { endpoint, replace } from "./input";
import { choose, chooseSample, forgetAll } from "./photos";
import { busy, show } from "./run";

export function History() {
  const sure = useSignal(false);
  const mine = made.value.filter((entry) => entry.endpoint === endpoint.value?.id);
  return (
    <section class="history" aria-labelledby="history-title">
      <div class="row">
        <h2 id="history-title">{t("history.title")}</h2>
        {mine.length ? (
          <button
            type="button"
            class="quiet"
            onBlur={() => { sure.value = false; }}
            onClick={() => {
              if (sure.value) void clear();
              sure.value = !sure.value;
            }}
          >
            {t(sure.value ? "history.clear.sure" : "history.clear")}
          </button>
        ) : null}
      </div>
      <p class="help">{t(mine.length ? "history.note" : "history.empty")}</p>
      <ul>
        {mine.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

function Entry({ entry }: { entry: Made }) {
  const prompt = String(entry.input.prompt ?? entry.endpoint);
  const url = useMemo(() => (entry.thumbnail ? URL.createObjectURL(entry.thumbnail) : ""), [entry.thumbnail]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  const when = new Intl.DateTimeFormat(language.value, { dateStyle: "short", timeStyle: "short" }).format(entry.at);
  return (
    <li>
      <button
        type="button"
        class="made"
        disabled={busy.value}
        title={prompt}
        onClick={() => load(entry)}
      >
        {url ? <img src={url} alt="" /> : <span class="frame" />}
        <span class="unseen">{t("history.load")}</span>
        <span class="prompt">{prompt}</span>
        <time>{when}</time>
      </button>
      <button
        type="button"
        class="quiet small"
        aria-label={t("history.delete.one", { prompt })}
        onClick={() => void drop(entry.id)}
      >
        {t("history.delete")}
      </button>
    </li>
  );
}

/** Put an earlier request's inputs back. Its photos are sent anew: the server may have let them go. */
function load(entry: Made) {
  forgetAll();
  for (const [name, { blob, name: fileName, sample }] of Object.entries(entry.photos)) {
    if (sample) chooseSample(name);
    else if (blob) void choose(name, blob, fileName);
  }
  // After the photos, because a new photo forgets which face was meant.
  replace(Object.fromEntries(Object.entries(entry.input).filter(([name]) => !(name in entry.photos))));
  show(entry);
  say(t("history.loaded"));
}
