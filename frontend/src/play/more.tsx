/** Behind the picture: the request as code, the log, and the answer. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { type CodeLanguage, languages } from "../code";
import { Copy, Segments, Tabs } from "../controls";
import { base, key } from "../server";
import { language, t } from "../texts";
import { endpoint, input } from "./input";
import { photos, send, waiting } from "./photos";
import { run } from "./run";

type Tab = "code" | "log" | "answer";

export function More() {
  const tab = useSignal<Tab>("log");
  return (
    <section class="more" aria-label={t("more.label")}>
      <Tabs
        id="more"
        label={t("more.label")}
        tabs={[
          { id: "log", label: t("more.log") },
          { id: "code", label: t("more.code") },
          { id: "answer", label: t("more.answer") },
        ]}
        chosen={tab.value}
        choose={(chosen) => { tab.value = chosen; }}
      >
        {tab.value === "code" ? <Code /> : tab.value === "log" ? <Log /> : <Answer />}
      </Tabs>
    </section>
  );
}

function Code() {
  const chosen = useSignal<CodeLanguage>("javascript");
  useSignalEffect(() => {
    // Code without the photo's address would not run: the chosen photo is sent for it.
    if (Object.values(photos.value).some(({ sending }) => sending !== null)) return;
    for (const name of waiting()) void send(name).catch(() => undefined);
  });
  const written = (credential: string) =>
    languages[chosen.value].write({
      base,
      endpoint: endpoint.value?.id ?? "",
      input: input.value,
      key: credential,
    });
  const masked = key.value.replace(/:.*/, ":••••••");
  return (
    <>
      <div class="row">
        <Segments
          name="language"
          label={t("code.language")}
          options={(Object.keys(languages) as CodeLanguage[]).map((id) => ({ id, label: languages[id].label }))}
          chosen={chosen.value}
          choose={(id) => { chosen.value = id; }}
        />
        <Copy text={() => written(key.value)} />
      </div>
      <pre tabIndex={0} aria-label={t("more.code")}>
        <code>{written(masked)}</code>
      </pre>
      <p class="help">
        {t("code.help")} {key.value ? t("code.masked") : ""} {waiting().length ? t("code.photo") : ""}
      </p>
    </>
  );
}

function Log() {
  const lines = run.value.logs.filter(({ message }) => message);
  if (!lines.length) return <p class="empty">{t("log.empty")}</p>;
  const clock = new Intl.DateTimeFormat(language.value, { timeStyle: "medium" });
  return (
    <ol class="log" tabIndex={0} aria-label={t("more.log")}>
      {lines.map((line, index) => (
        <li key={index} class={line.level.toLowerCase()}>
          <time>{clock.format(new Date(line.timestamp))}</time>
          <span>{line.message}</span>
        </li>
      ))}
    </ol>
  );
}

function Answer() {
  if (!run.value.answer) return <p class="empty">{t("answer.empty")}</p>;
  const text = JSON.stringify(run.value.answer, null, 2);
  return (
    <>
      <pre tabIndex={0} aria-label={t("more.answer")}>
        <code>{text}</code>
      </pre>
      <Copy text={() => text} />
    </>
  );
}
