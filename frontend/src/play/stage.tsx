/** The result, large: the photo becomes the picture here. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { Copy, Segments } from "../controls";
import { type Found, filesIn, hero, isPicture, looksLikePicture } from "../pictures";
import { say } from "../say";
import { local } from "../server";
import { bytes, maybe, optionText, seconds, t } from "../texts";
import { Areas, LookedIn, looked, Places } from "./faces";
import { photoFields, set } from "./input";
import { choose, preview } from "./photos";
import { busy, run } from "./run";

type Backdrop = "checker" | "light" | "dark";
const PHOTO = "photo";

export function nameOf(file: Found): string {
  return maybe(`picture.${file.name}`) ?? file.name.replaceAll("_", " ").replace(/^\w/, (letter) => letter.toUpperCase());
}

export function Stage() {
  const backdrop = useSignal<Backdrop>("checker");
  const view = useSignal("");
  const files = useComputed(() => filesIn(run.value.answer));
  const pictures = useComputed(() => files.value.filter(isPicture));
  const photo = useComputed(() => photoFields.value.map(({ name }) => preview(name)).find(Boolean) ?? "");
  useSignalEffect(() => {
    view.value = hero(pictures.value)?.url ?? PHOTO;
  });
  useSignalEffect(() => {
    // On a narrow page the easel is below the form: whoever runs wants to see it.
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (busy.value) document.querySelector(".easel")?.scrollIntoView({ block: "nearest", behavior });
  });
  const shown = pictures.value.find(({ url }) => url === view.value);
  const options = pictures.value.map((file) => ({ id: file.url, label: nameOf(file) }));
  return (
    <section class="stage" aria-label={t("stage.label")} aria-busy={busy.value}>
      <div
        class={`easel ${shown ? backdrop.value : "paper"} ${busy.value ? "busy" : ""}`}
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          const file = event.dataTransfer?.files[0];
          const field = photoFields.value[0];
          if (file && field) void choose(field.name, file, file.name);
        }}
      >
        {shown ? (
          <Picture key={shown.url} file={shown} />
        ) : busy.value && run.value.preview ? (
          <img class="glimpse" src={run.value.preview} alt={t("stage.preview")} />
        ) : photo.value ? (
          <Photo key={photo.value} url={photo.value} />
        ) : (
          <span class="frame" aria-hidden="true" />
        )}
        {busy.value ? <span class="veil" aria-hidden="true" /> : null}
      </div>
      <Progress />
      {photo.value ? <LookedIn /> : null}
      {pictures.value.length ? (
        <div class="row stage-bar">
          <Segments
            name="view"
            label={t("stage.view")}
            options={photo.value ? [...options, { id: PHOTO, label: t("stage.photo") }] : options}
            chosen={view.value}
            choose={(chosen) => { view.value = chosen; }}
          />
          <Segments
            name="backdrop"
            label={t("stage.backdrop")}
            options={[
              { id: "checker", label: t("stage.checker"), swatch: "checker" },
              { id: "light", label: t("stage.light"), swatch: "light" },
              { id: "dark", label: t("stage.dark"), swatch: "dark" },
            ]}
            chosen={backdrop.value}
            choose={(chosen) => { backdrop.value = chosen as Backdrop; }}
          />
          {shown ? <Actions file={shown} /> : null}
        </div>
      ) : null}
      {run.value.phase === "done" ? <Facts shown={shown} others={files.value.filter((file) => !isPicture(file))} /> : null}
    </section>
  );
}

function Picture({ file }: { file: Found }) {
  const gone = useSignal(false);
  if (gone.value) return <p class="gone">{t("stage.gone")}</p>;
  const prompt = String(run.value.input.prompt ?? "");
  return (
    <img
      class="drawn"
      src={local(file.url)}
      width={file.width}
      height={file.height}
      alt={t("stage.alt", { name: nameOf(file), prompt })}
      onError={() => { gone.value = true; }}
    />
  );
}

/** The photo, with the faces that were found in it and the one that is meant, or where none was. */
function Photo({ url }: { url: string }) {
  const size = useSignal({ width: 0, height: 0 });
  return (
    <span class="photo-shown">
      <img
        src={url}
        alt={looked.value.length ? t("looked.alt") : t("photo.alt")}
        onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
          size.value = { width: naturalWidth, height: naturalHeight };
        }}
      />
      {size.value.width ? <Areas {...size.value} /> : null}
      {size.value.width ? <Places {...size.value} /> : null}
    </span>
  );
}

function Progress() {
  const { phase, position, alone, progress, lost, logs } = run.value;
  const step = logs.at(-1)?.message ?? "";
  const words =
    phase === "queued" && alone
      ? t("phase.queued.alone")
      : phase === "queued" && position
        ? t("phase.queued.at", { count: position })
        : t(phase === "queued" ? "phase.queued.next" : `phase.${phase}`);
  return (
    <div class={`progress ${phase}`}>
      <p class="phase">
        <strong>{lost ? t("phase.lost") : words}</strong>
        {busy.value && phase === "running" ? <span class="step">{step}</span> : null}
        {phase === "running" ? <span class="percent">{Math.round(progress * 100)} %</span> : null}
      </p>
      {busy.value ? (
        <progress aria-label={words} max={1} value={phase === "running" || phase === "cancelling" ? progress : undefined} />
      ) : null}
    </div>
  );
}

function Actions({ file }: { file: Found }) {
  const share = async () => {
    const blob = await (await fetch(local(file.url))).blob();
    const name = file.fileName;
    await navigator
      .share({ files: [new File([blob], name, { type: file.type })] })
      .catch(() => undefined); // Closing the sheet is no fault.
  };
  const sharing = typeof navigator.canShare === "function" &&
    navigator.canShare({ files: [new File([], "sticker.png", { type: "image/png" })] });
  return (
    <div class="row actions">
      <a class="button" href={local(file.url)} download={file.fileName}>
        {t("stage.download")}
      </a>
      <Copy label={t("stage.copyurl")} text={() => file.url} />
      {sharing ? (
        <button type="button" class="quiet" onClick={() => void share()}>
          {t("stage.share")}
        </button>
      ) : null}
    </div>
  );
}

function Facts({ shown, others }: { shown: Found | undefined; others: Found[] }) {
  const { answer, engine, inferenceTime, totalTime } = run.value;
  const told = answer as { seed?: unknown; has_nsfw_concepts?: unknown };
  const nsfw = Object.values((told.has_nsfw_concepts ?? {}) as Record<string, unknown>).includes(true);
  const keepSeed = () => {
    set("seed", told.seed);
    say(`${t("stage.seed")} ${String(told.seed)}`);
  };
  return (
    <>
      {nsfw ? <p class="fault">{t("stage.nsfw")}</p> : null}
      <dl class="facts">
        {typeof told.seed === "number" ? (
          <div>
            <dt>{t("stage.seed")}</dt>
            <dd>
              <code>{told.seed}</code>{" "}
              <button type="button" class="quiet small" onClick={keepSeed}>
                {t("stage.seed.keep")}
              </button>
            </dd>
          </div>
        ) : null}
        {engine ? <Fact name={t("stage.engine")} value={engine} /> : null}
        {inferenceTime ? <Fact name={t("stage.drawn")} value={seconds(inferenceTime)} /> : null}
        {totalTime ? <Fact name={t("stage.total")} value={seconds(totalTime)} /> : null}
        {shown?.width && shown.height ? (
          <Fact
            name={t("stage.size")}
            value={`${shown.width} × ${shown.height}${shown.size ? `, ${bytes(shown.size)}` : ""}`}
          />
        ) : null}
      </dl>
      <Exports all={others.filter(({ platform }) => platform)} />
      <Others all={others.filter(({ platform }) => !platform)} />
      <p class="note">{t("stage.made")}</p>
    </>
  );
}

/** The sticker as each platform wants it, to be taken along. */
function Exports({ all }: { all: Found[] }) {
  if (!all.length) return null;
  return (
    <section class="exports">
      <h2>{t("stage.exports")}</h2>
      <ul>
        {all.map((file) => (
          <li key={file.url}>
            <a href={local(file.url)} download={file.fileName}>
              {looksLikePicture(file) ? <img class="checker" src={local(file.url)} alt="" /> : <span class="sheet" aria-hidden="true">PDF</span>}
              <strong>{optionText("exports", file.platform ?? "")}</strong>
              <span>{[file.width && file.height ? `${file.width} × ${file.height}` : "", file.size ? bytes(file.size) : ""].filter(Boolean).join(", ")}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Others({ all }: { all: Found[] }) {
  if (!all.length) return null;
  return (
    <ul class="files" aria-label={t("stage.files")}>
      {all.map((file) => (
        <li key={file.url}>
          <a href={local(file.url)} download={file.fileName}>
            {nameOf(file)} <span>{file.fileName}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
