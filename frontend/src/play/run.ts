/** One run, from the click to the picture. It survives a reload: its id is kept in this tab. */
import { computed, signal } from "@preact/signals";
import * as history from "../history";
import { filesIn, hero, isPicture } from "../pictures";
import { cancel as cancelRequest, follow, type LogEntry, type QueueStatus, result, submit } from "../queue";
import { say } from "../say";
import { ask, base, Fault, loadable, local } from "../server";
import { t } from "../texts";
import { learn } from "./faces";
import { check, endpoint, input, photoFields, told } from "./input";
import { photos, send, waiting } from "./photos";

export type Phase =
  | "idle" | "uploading" | "sending" | "queued" | "running" | "cancelling" | "done" | "failed" | "cancelled";

export type Run = {
  id: string;
  endpoint: string;
  input: Record<string, unknown>;
  startedAt: number;
  phase: Phase;
  position: number;
  /** There is no worker now that could draw it. */
  alone: boolean;
  progress: number;
  logs: LogEntry[];
  /** The picture so far, small, while it is drawn. */
  preview: string;
  lost: boolean;
  answer: unknown;
  engine: string | null;
  inferenceTime: number | null;
  totalTime: number;
  fault: string;
};

const fresh: Run = {
  id: "", endpoint: "", input: {}, startedAt: 0, phase: "idle", position: 0, alone: false, progress: 0, logs: [],
  preview: "", lost: false, answer: null, engine: null, inferenceTime: null, totalTime: 0, fault: "",
};

export const run = signal<Run>(fresh);
export const busy = computed(() => !["idle", "done", "failed", "cancelled"].includes(run.value.phase));

const STORED = "limner.run";
const RECONNECT_AFTER = 1000;
/** Milliseconds between looks for a worker, while a run waits; those of a fresh server come in less. */
const LOOK_EVERY = 4000;

function update(change: Partial<Run>): void {
  run.value = { ...run.value, ...change };
}

/** Send the photos, hand in the request and follow it to its end. */
export async function start(): Promise<void> {
  const served = endpoint.value;
  if (!served || busy.value || !check(new Set(waiting()))) return;
  run.value = { ...fresh, endpoint: served.id, startedAt: Date.now(), phase: "uploading" };
  try {
    for (const name of waiting()) await send(name);
  } catch {
    update({ phase: "idle" });
    return;
  }
  if (run.value.phase !== "uploading") return;
  update({ phase: "sending", input: input.value });
  say(t("phase.sending"));
  try {
    const id = await submit(served.id, input.value);
    if ((run.value.phase as Phase) === "cancelled") return await cancelRequest(served.id, id);
    update({ id, phase: "queued" });
    const { endpoint: name, input: sent, startedAt } = run.value;
    sessionStorage.setItem(STORED, JSON.stringify({ id, endpoint: name, input: sent, startedAt }));
    await watch();
  } catch (reason) {
    failed(reason);
  }
}

/** Take up the run that this tab had before it was reloaded; null when there was none. */
export function interrupted(): { endpoint: string; input: Record<string, unknown> } | null {
  const kept = sessionStorage.getItem(STORED);
  return kept ? (JSON.parse(kept) as Run) : null;
}

export async function resume(): Promise<void> {
  const kept = interrupted();
  if (!kept || busy.value) return;
  run.value = { ...fresh, ...kept, phase: "queued" };
  try {
    await watch();
  } catch (reason) {
    failed(reason);
  }
}

export async function cancel(): Promise<void> {
  const { id, endpoint: name, phase } = run.value;
  if (phase === "uploading" || phase === "sending") return update({ phase: "cancelled" });
  update({ phase: "cancelling" });
  await cancelRequest(name, id).catch(failed);
}

/** Show what was made earlier, without running anything. */
export function show(entry: history.Made): void {
  if (busy.value) return;
  run.value = {
    ...fresh, ...entry, startedAt: entry.at, phase: entry.answer ? "done" : "idle", progress: 1,
  };
}

async function watch(): Promise<void> {
  const { id } = run.value;
  const look = setInterval(() => void lookForWorkers(id), LOOK_EVERY);
  try {
    await watchToItsEnd();
  } finally {
    clearInterval(look);
  }
}

/** fal's queue knows no workers, so a waiting run asks Limner's own API whether there are any. */
async function lookForWorkers(id: string): Promise<void> {
  if (run.value.phase !== "queued") return;
  const told = await ask<{ workers: number }>(`${base}limner/v1/requests/${id}`).catch(() => null);
  if (!told || run.value.id !== id || run.value.phase !== "queued") return;
  const alone = told.workers === 0;
  if (alone && !run.value.alone) say(t("phase.queued.alone"));
  update({ alone });
}

async function watchToItsEnd(): Promise<void> {
  const { id, endpoint: name } = run.value;
  for (;;) {
    try {
      update({ logs: [] });
      for await (const status of follow(name, id, new AbortController().signal)) {
        take(status);
        if (status.status === "COMPLETED") return await ended(status);
      }
    } catch (reason) {
      if (!(reason instanceof Fault) || reason.status) throw reason;
    }
    // The stream broke off; the request did not.
    update({ lost: true });
    await new Promise((later) => setTimeout(later, RECONNECT_AFTER));
  }
}

function take(status: QueueStatus): void {
  const before = run.value;
  const logs = [...before.logs, ...(status.logs ?? [])];
  const progress = logs.reduce((most, { labels }) => Math.max(most, labels.progress ?? 0), 0);
  const stopping = before.phase === "cancelling";
  const phase = stopping ? "cancelling" : status.status === "IN_QUEUE" ? "queued" : "running";
  const position = status.queue_position ?? 0;
  const preview = status.preview ?? before.preview;
  update({ logs, progress, preview, lost: false, phase, position });
  if (phase === "queued" && (before.position !== position || before.logs.length === 0)) {
    say(position ? t("phase.queued.at", { count: position }) : t("phase.queued.next"));
  } else if (phase === "running" && before.phase !== "running") say(t("phase.running"));
  else if (Math.floor(progress * 4) > Math.floor(before.progress * 4) && progress < 1) {
    say(t("phase.percent", { percent: Math.round(progress * 100) }));
  }
}

async function ended(status: QueueStatus): Promise<void> {
  const { id, endpoint: name, startedAt } = run.value;
  const inferenceTime = status.metrics.inference_time ?? null;
  const totalTime = (Date.now() - startedAt) / 1000;
  sessionStorage.removeItem(STORED);
  if (status.error_type?.startsWith("client_cancelled")) {
    update({ phase: "cancelled", inferenceTime, totalTime });
    say(t("phase.cancelled"));
    return;
  }
  const { answer, engine } = await result(name, id);
  update({ answer, engine, inferenceTime, totalTime, phase: "done", progress: 1 });
  say(t("phase.done"));
  await keep();
}

function failed(reason: unknown): void {
  sessionStorage.removeItem(STORED);
  const fault = reason instanceof Fault ? reason : new Fault(0);
  if (fault.complaints.length) learn(fault.complaints.find(({ ctx }) => ctx?.faces ?? ctx?.looked)?.ctx);
  const atFields = told(fault.complaints);
  const words: Record<number, string> = { 0: t("error.network"), 404: t("error.gone"), 500: t("error.unknown") };
  update({ phase: "failed", fault: atFields ? "" : (words[fault.status] ?? fault.message) });
  if (!atFields) say(run.value.fault);
}

/** The photo of a field as history keeps it; after a reload only the server still has it. */
async function photoOf(field: string, sent: unknown): Promise<history.Made["photos"][string] | null> {
  const photo = photos.value[field];
  if (photo) return { blob: photo.blob, name: photo.name, sample: photo.sample };
  const url = typeof sent === "string" ? local(sent) : "";
  if (!loadable(url)) return null;
  const answer = await fetch(url).catch(() => null);
  return answer?.ok ? { blob: await answer.blob(), name: url.split("/").pop() ?? field, sample: false } : null;
}

/** Put the finished run into this browser's history. */
async function keep(): Promise<void> {
  const { id, endpoint: name, input: sent, answer, engine, inferenceTime, totalTime } = run.value;
  const shown = hero(filesIn(answer).filter(isPicture));
  const kept: history.Made["photos"] = {};
  for (const { name: field } of photoFields.value) {
    const photo = await photoOf(field, sent[field]);
    if (photo) kept[field] = photo;
  }
  const small = shown ? await history.thumbnail(local(shown.url)) : null;
  const entry = { id, endpoint: name, input: sent, answer, engine, inferenceTime, totalTime };
  await history
    .remember({ ...entry, at: Date.now(), thumbnail: small, photos: kept })
    .catch(() => undefined); // A private window may refuse; the picture is shown all the same.
}
