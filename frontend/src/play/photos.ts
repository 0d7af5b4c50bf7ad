/** Chosen photos: shown at once, sent to the server's storage, their address put into the input. */
import { signal } from "@preact/signals";
import sampleUrl from "../../../demo/astronaut.jpg";
import { upload } from "../queue";
import { say } from "../say";
import { Fault, loadable, local } from "../server";
import { t } from "../texts";
import { learn } from "./faces";
import { faults, field, input, set } from "./input";

export type Photo = {
  name: string;
  /** What an `img` shows; empty for what is no picture. */
  preview: string;
  blob: Blob | null;
  sample: boolean;
  /** Share sent, while it is being sent. */
  sending: number | null;
};

export const photos = signal<Record<string, Photo>>({});

/** Addresses of files that this browser cannot show: HEIC, TIFF, or no picture at all. */
const unshown = signal<readonly string[]>([]);

export function cannotShow(url: string): void {
  unshown.value = [...unshown.value, url];
}

const uploads = new Map<string, AbortController>();

function put(name: string, photo: Photo | undefined): void {
  const { [name]: before, ...others } = photos.value;
  if (before && before.preview !== photo?.preview && before.preview.startsWith("blob:")) {
    URL.revokeObjectURL(before.preview);
  }
  if (before?.preview !== photo?.preview) {
    // Another photo has other faces.
    learn();
    set("face_box", undefined);
    set("face_index", undefined);
  }
  photos.value = photo ? { ...others, [name]: photo } : others;
}

function complain(name: string, text: string): void {
  faults.value = { ...faults.value, [name]: text };
  say(text);
}

/** Take a file for a field and send it. */
export async function choose(name: string, blob: Blob, fileName: string): Promise<void> {
  const picture = field(name)?.widget.kind === "photo";
  if (picture && !blob.type.startsWith("image/")) {
    complain(name, t("photo.notpicture", { name: fileName }));
    return;
  }
  set(name, undefined);
  put(name, { name: fileName, preview: picture ? URL.createObjectURL(blob) : "", blob, sample: false, sending: null });
  await send(name).catch(() => undefined);
}

/** Use the bundled face: shown at once, sent when it is needed. */
export function chooseSample(name: string): void {
  set(name, undefined);
  put(name, { name: "astronaut.jpg", preview: sampleUrl, blob: null, sample: true, sending: null });
}

/** Use a photo that is somewhere already. */
export function chooseAddress(name: string, url: string): void {
  learn();
  set(name, url);
  put(name, undefined);
}

export function remove(name: string): void {
  uploads.get(name)?.abort();
  put(name, undefined);
  set(name, undefined);
}

export function forgetAll(): void {
  for (const name of Object.keys(photos.value)) put(name, undefined);
}

/** Photos whose address is not in the input yet. */
export const waiting = () => Object.keys(photos.value).filter((name) => !input.value[name]);

/** Send the photo of a field if it has not been. Throws Fault, told at the field. */
export async function send(name: string): Promise<void> {
  const photo = photos.value[name];
  if (!photo || input.value[name]) return;
  uploads.get(name)?.abort();
  const controller = new AbortController();
  uploads.set(name, controller);
  put(name, { ...photo, sending: 0 });
  const progress = (share: number) => {
    const now = photos.value[name];
    if (now && now.preview === photo.preview) put(name, { ...now, sending: share });
  };
  try {
    const blob = photo.blob ?? (await (await fetch(photo.preview)).blob());
    const url = await upload(blob, photo.name, progress, controller.signal);
    set(name, url);
    say(t("photo.sent"));
  } catch (reason) {
    if (controller.signal.aborted) throw reason;
    const fault = reason instanceof Fault ? reason : new Fault(0);
    complain(name, t("photo.failed", { why: fault.status ? fault.message : t("error.network") }));
    throw fault;
  } finally {
    const now = photos.value[name];
    if (now && uploads.get(name) === controller) put(name, { ...now, sending: null });
  }
}

/** What to show for a field: the chosen photo, or the one at the input's address; empty if neither can be shown. */
export function preview(name: string): string {
  const value = input.value[name];
  const there = typeof value === "string" && loadable(local(value)) ? local(value) : "";
  const url = photos.value[name]?.preview ?? there;
  return unshown.value.includes(url) ? "" : url;
}
