/** fal's queue, as this page uses it: hand in, follow, fetch the result, cancel. */
import { at, base, call, Fault, faultOf, post } from "./server";

export type LogEntry = {
  timestamp: string;
  message: string;
  level: string;
  labels: { progress?: number };
};

export type QueueStatus = {
  status: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
  request_id: string;
  queue_position?: number;
  logs: LogEntry[] | null;
  metrics: { inference_time?: number };
  /** A new small picture of what is being drawn, as a data URI. */
  preview?: string;
  error?: string;
  error_type?: string;
};

const of = (endpoint: string, id: string) => at("queue.fal.run", `${endpoint}/requests/${id}`);

/** Hand in a request; its id. Throws Fault. */
export async function submit(endpoint: string, input: unknown): Promise<string> {
  const answer = await call(at("queue.fal.run", endpoint), post(input));
  if (!answer.ok) throw await faultOf(answer);
  return ((await answer.json()) as QueueStatus).request_id;
}

/** The status on every change until it is over; each comes with the log lines since the last. */
export async function* follow(endpoint: string, id: string, signal: AbortSignal): AsyncGenerator<QueueStatus> {
  const answer = await call(`${of(endpoint, id)}/status/stream?logs=1`, { signal });
  if (!answer.ok || !answer.body) throw await faultOf(answer);
  const text = answer.body.pipeThrough(new TextDecoderStream());
  const reader = text.getReader();
  let pending = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (pending + value).split("\n\n");
      pending = events.pop() ?? "";
      for (const event of events) {
        if (event.startsWith("data: ")) yield JSON.parse(event.slice(6)) as QueueStatus;
      }
    }
  } catch (reason) {
    throw signal.aborted ? reason : new Fault(0);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The model's own answer, and which engine drew it. Throws Fault. */
export async function result(endpoint: string, id: string): Promise<{ answer: unknown; engine: string | null }> {
  const got = await call(of(endpoint, id));
  if (!got.ok) throw await faultOf(got);
  return { answer: await got.json(), engine: got.headers.get("x-limner-engine") };
}

export async function cancel(endpoint: string, id: string): Promise<void> {
  await call(`${of(endpoint, id)}/cancel`, { method: "PUT" });
}

/** Send a file to the server's storage; the address under which it is kept. Throws Fault. */
export async function upload(
  file: Blob,
  name: string,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const initiate = at("rest.fal.ai", "storage/upload/initiate?storage_type=fal-cdn-v3");
  const said = { content_type: file.type || "application/octet-stream", file_name: name };
  const answer = await call(initiate, { ...post(said), signal });
  if (!answer.ok) throw await faultOf(answer);
  const ticket = (await answer.json()) as { upload_url: string; file_url: string };
  await put(file, ticket.upload_url, progress, signal);
  return ticket.file_url;
}

/** PUT with progress, which `fetch` does not tell. */
function put(file: Blob, url: string, progress: (share: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const wire = new XMLHttpRequest();
    const [, place] = url.split("/v3.fal.media/");
    wire.open("PUT", place === undefined ? url : `${base}v3.fal.media/${place}`);
    wire.setRequestHeader("content-type", file.type || "application/octet-stream");
    wire.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    wire.onerror = () => failed(new Fault(0));
    wire.onload = () => {
      if (wire.status < 300) return done();
      let said = "";
      try {
        said = String((JSON.parse(wire.responseText) as { detail?: unknown }).detail ?? "");
      } catch {
        // The status is all there is.
      }
      failed(new Fault(wire.status, [], said));
    };
    signal.addEventListener("abort", () => {
      wire.abort();
      failed(signal.reason);
    });
    wire.send(file);
  });
}
