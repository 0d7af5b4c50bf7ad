/** What was made in this browser: kept in its IndexedDB, shown in every tab, deleted on demand. */
import { signal } from "@preact/signals";

export type Made = {
  id: string;
  endpoint: string;
  input: Record<string, unknown>;
  at: number;
  /** The answer, or null when it failed. */
  answer: unknown;
  engine: string | null;
  inferenceTime: number | null;
  totalTime: number;
  /** A small copy of the first picture, so that something is shown when the server's is gone. */
  thumbnail: Blob | null;
  /** The photos that were sent, by field, so that the inputs can be loaded after the server forgot them. */
  photos: Record<string, { blob: Blob | null; name: string; sample: boolean }>;
};

const MOST = 60;
const SIDE = 320;

export const made = signal<Made[]>([]);
const tabs = new BroadcastChannel("limner.history");
tabs.onmessage = () => void refresh();

let opened: Promise<IDBDatabase> | undefined;

function store(): Promise<IDBDatabase> {
  opened ??= new Promise((done, failed) => {
    const asked = indexedDB.open("limner", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("made", { keyPath: "id" });
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  return opened;
}

async function work<Result>(mode: IDBTransactionMode, run: (made: IDBObjectStore) => IDBRequest<Result>) {
  const database = await store();
  return new Promise<Result>((done, failed) => {
    const transaction = database.transaction("made", mode);
    const asked = run(transaction.objectStore("made"));
    transaction.oncomplete = () => done(asked.result);
    transaction.onerror = transaction.onabort = () => failed(transaction.error);
  });
}

export async function refresh(): Promise<void> {
  const all = await work<Made[]>("readonly", (kept) => kept.getAll());
  made.value = all.sort((a, b) => b.at - a.at);
}

async function changed(): Promise<void> {
  await refresh();
  tabs.postMessage("changed");
}

export async function remember(entry: Made): Promise<void> {
  await work("readwrite", (kept) => kept.put(entry));
  await refresh();
  for (const old of made.value.slice(MOST)) await work("readwrite", (kept) => kept.delete(old.id));
  await changed();
}

export async function drop(id: string): Promise<void> {
  await work("readwrite", (kept) => kept.delete(id));
  await changed();
}

export async function clear(): Promise<void> {
  await work("readwrite", (kept) => kept.clear());
  await changed();
}

/** A small copy of the picture at `url` (one this page may load); null when there is none. */
export async function thumbnail(url: string): Promise<Blob | null> {
  try {
    const bitmap = await createImageBitmap(await (await fetch(url)).blob());
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/webp", quality: 0.85 });
  } catch {
    return null;
  }
}
