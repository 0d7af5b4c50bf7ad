/** Speaking with the server this page came from: addresses, the key, and faults. Knows no endpoint. */
import { signal } from "@preact/signals";

/** Where the server is, with a slash at the end; the page may live below a path. */
export const base = new URL("./", document.baseURI.split("#")[0]).href;

/** Where one of fal's hosts is answered here. */
export const at = (host: string, path: string) => `${base}${host}/${path}`;

const STORED = "limner.key";

export const key = signal(sessionStorage.getItem(STORED) ?? "");
/** `asking`: the server wants a key and has none, or a wrong one. */
export const access = signal<"knocking" | "open" | "asking" | "wrong" | "silent">("knocking");
export const admin = signal(false);
/** Does this server need a key at all? */
export const keyed = signal(false);

export type Complaint = { loc: (string | number)[]; msg: string; type: string; ctx?: Record<string, unknown> };

/** What the server says when something will not do. `status` 0: it did not answer. */
export class Fault extends Error {
  constructor(
    readonly status: number,
    readonly complaints: Complaint[] = [],
    readonly said = "",
    readonly kind = "",
  ) {
    super(said || complaints[0]?.msg || `HTTP ${status}`);
  }
}

export async function faultOf(answer: Response): Promise<Fault> {
  const body = (await answer.json().catch(() => ({}))) as { detail?: unknown; error_type?: string };
  const complaints = Array.isArray(body.detail) ? (body.detail as Complaint[]) : [];
  const said = typeof body.detail === "string" ? body.detail : "";
  return new Fault(answer.status, complaints, said, body.error_type ?? "");
}

export function authorization(): Record<string, string> {
  return key.value ? { authorization: `Key ${key.value}` } : {};
}

/** A call with the key. Throws Fault 0 without an answer and Fault 401, which also asks for a key. */
export async function call(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...authorization(), ...(init.headers as Record<string, string>) };
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, headers });
  } catch (reason) {
    if (init.signal?.aborted) throw reason;
    throw new Fault(0);
  }
  if (answer.status === 401) {
    access.value = key.value ? "wrong" : "asking";
    throw await faultOf(answer);
  }
  return answer;
}

/** The JSON of a call that must succeed. Throws Fault. */
export async function ask<Answer>(url: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await call(url, init);
  if (!answer.ok) throw await faultOf(answer);
  return (await answer.json()) as Answer;
}

export function post(body: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

/** Ask who we are here; sets `access`. */
export async function knock(): Promise<void> {
  try {
    const me = await ask<{ key: string | null; admin: boolean }>(`${base}limner/v1/me`);
    admin.value = me.admin;
    keyed.value = me.key !== null;
    access.value = "open";
  } catch (fault) {
    if (!(fault instanceof Fault && fault.status === 401)) access.value = "silent";
  }
}

export async function enter(entered: string): Promise<void> {
  key.value = entered.trim().replace(/^(key|bearer)\s+/i, "");
  sessionStorage.setItem(STORED, key.value);
  await knock();
}

export async function forget(): Promise<void> {
  sessionStorage.removeItem(STORED);
  key.value = "";
  await knock();
}

/**
 * A file of this server by the address this page came by. Answers tell the address their request
 * came by, which may be another name of the same server; the page may only load its own.
 */
export function local(url: string): string {
  const [, name] = url.split("/v3.fal.media/");
  return name === undefined || url.startsWith("data:") ? url : at("v3.fal.media", name);
}

/** May this page load what is at this address? */
export const loadable = (url: string) => /^(blob:|data:)/.test(url) || url.startsWith(base);
