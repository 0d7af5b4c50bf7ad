/** The field for a photo: drop, paste, camera, file, address, or the sample; everything also by keyboard. */
import { useSignal } from "@preact/signals";
import type { TargetedDragEvent } from "preact";
import { loadable, local } from "../server";
import { t } from "../texts";
import { Camera, canTakePhotos } from "./camera";
import { canChooseFace, WhichFace } from "./faces";
import { faults, fieldId, input } from "./input";
import { cannotShow, choose, chooseAddress, chooseSample, photos, preview, remove } from "./photos";

export function PhotoField({ name, described }: { name: string; described: string }) {
  const over = useSignal(false);
  const camera = useSignal(false);
  const address = useSignal(false);
  const photo = photos.value[name];
  const shown = preview(name);
  const url = typeof input.value[name] === "string" ? (input.value[name] as string) : "";
  const take = (file: File | null | undefined) => file && void choose(name, file, file.name);
  const drop = (event: TargetedDragEvent<HTMLElement>) => {
    event.preventDefault();
    over.value = false;
    take(event.dataTransfer?.files[0]);
  };
  const held = photo !== undefined || url !== "";
  return (
    <div
      class={`photo ${over.value ? "over" : ""} ${name in faults.value ? "wrong" : ""} ${held ? "held" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => {
        over.value = false;
      }}
      onDrop={drop}
    >
      <label class="photo-frame">
        <input
          id={fieldId(name)}
          type="file"
          accept="image/*"
          class="unseen"
          aria-describedby={described}
          aria-invalid={name in faults.value}
          onChange={(event) => {
            take(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
        {shown ? <img src={shown} alt="" onError={() => cannotShow(shown)} /> : null}
        {held ? null : (
          <span class="photo-empty">
            <strong>{t("photo.drop")}</strong>
            <span>{t("photo.or")}</span>
          </span>
        )}
        <span class="button">{t(held ? "photo.change" : "photo.choose")}</span>
      </label>
      {photo?.sending != null ? (
        <p class="sending">
          <progress max={1} value={photo.sending} aria-label={t("photo.uploading", { percent: "" })} />
          {t("photo.uploading", { percent: Math.round(photo.sending * 100) })}
        </p>
      ) : null}
      {photo?.sample ? <p class="note">{t("photo.sample.note")}</p> : null}
      {photo && !shown ? <p class="note">{t("photo.unshown", { name: photo.name })}</p> : null}
      {url && !photo && !loadable(local(url)) ? <p class="note">{t("photo.elsewhere")}</p> : null}
      <div class="row">
        {canTakePhotos ? (
          <button type="button" class="quiet" onClick={() => { camera.value = true; }}>
            {t("photo.camera")}
          </button>
        ) : null}
        {photo?.sample ? null : (
          <button type="button" class="quiet" onClick={() => chooseSample(name)}>
            {t("photo.sample")}
          </button>
        )}
        <button
          type="button"
          class="quiet"
          aria-expanded={address.value}
          onClick={() => { address.value = !address.value; }}
        >
          {t("photo.address")}
        </button>
        {shown && canChooseFace() ? <WhichFace photo={shown} /> : null}
        {held ? (
          <button type="button" class="quiet" onClick={() => remove(name)}>
            {t("photo.remove")}
          </button>
        ) : null}
      </div>
      {address.value ? (
        <input
          type="url"
          aria-label={t("photo.address.label")}
          placeholder="https://…"
          value={url}
          onChange={(event) => chooseAddress(name, event.currentTarget.value.trim())}
        />
      ) : null}
      {camera.value ? (
        <Camera taken={(file) => take(file)} close={() => { camera.value = false; }} />
      ) : null}
    </div>
  );
}

/** The field for an archive of photos. */
export function ArchiveField({ name, described }: { name: string; described: string }) {
  const photo = photos.value[name];
  return (
    <div class="archive">
      <label class="button">
        <input
          id={fieldId(name)}
          type="file"
          class="unseen"
          aria-describedby={described}
          onChange={(event) => {
            const file = event.currentTarget.files?.[0];
            if (file) void choose(name, file, file.name);
          }}
        />
        {t("archive.choose")}
      </label>
      <span>{photo?.name ?? ""}</span>
      {photo?.sending != null ? <span>{t("photo.uploading", { percent: Math.round(photo.sending * 100) })}</span> : null}
      {photo ? (
        <button type="button" class="quiet" onClick={() => remove(name)}>
          {t("photo.remove")}
        </button>
      ) : null}
    </div>
  );
}
