// fal's own JavaScript client, unmodified, on one road to a Limner; prints one JSON document.
// node client.mjs BASE ROAD FUNCTION ARGUMENTS
import { fal, ApiError, ValidationError } from "@fal-ai/client";
import { createPublicKey, createHash, verify } from "node:crypto";
import WebSocket from "ws";

const hasOwnSocket = "WebSocket" in globalThis;
globalThis.WebSocket ??= WebSocket; // Node 20 has none of its own

const [base, road, name, args] = process.argv.slice(2);

// A real fal address → the same place under our own name (wire.md 1.4, G and H).
const ours = (url) => url.replace(/^https?:\/\/([a-z0-9.]+\.)?fal\.(run|ai|media)/, (found) => `${base}/${found.replace(/^https?:\/\//, "")}`);

const roads = {
  proxy: { proxyUrl: { url: `${base}/api/fal/proxy`, when: "always" } },
  fetch: { fetch: (url, init) => fetch(ours(String(url)), init) },
  names: {}, // fal's own addresses: see names.mjs
  middleware: { requestMiddleware: async (request) => ({ ...request, url: ours(request.url) }) },
};
fal.config({ credentials: "any:key", ...roads[road] });

const failure = (error) => ({
  failed: true,
  api: error instanceof ApiError,
  validation: error instanceof ValidationError,
  status: error.status,
  isUserTimeout: error.isUserTimeout,
  message: error.message,
  body: error.body,
  requestId: error.requestId,
});
const attempt = (promise) => promise.catch(failure);

// As fal documents it for a server that makes tokens for its pages.
async function token(alias) {
  const answer = await fetch("https://rest.fal.ai/tokens/", {
    method: "POST",
    headers: { Authorization: "Key any:key", "Content-Type": "application/json" },
    body: JSON.stringify({ allowed_apps: [alias], token_expiration: 120 }),
  });
  return await answer.json();
}

// Seconds that a file still has, as its Cache-Control says.
async function lives(url) {
  const answer = await fetch(url);
  return Number(/max-age=(\d+)/.exec(answer.headers.get("cache-control"))[1]);
}

const functions = {
  async subscribe(id, input, options = {}) {
    const updates = [];
    const result = await attempt(
      fal.subscribe(id, { input, logs: true, pollInterval: 50, ...options, onQueueUpdate: (u) => updates.push(u) }),
    );
    return { result, updates };
  },
  async queue(id, input) {
    const submitted = await fal.queue.submit(id, { input });
    const requestId = submitted.request_id;
    const early = await attempt(fal.queue.result(id, { requestId }));
    let status = await fal.queue.status(id, { requestId, logs: true });
    while (status.status !== "COMPLETED") {
      await new Promise((wake) => setTimeout(wake, 50));
      status = await fal.queue.status(id, { requestId, logs: true });
    }
    const result = await attempt(fal.queue.result(id, { requestId }));
    return { submitted, early, status, result };
  },
  async cancel(id, input) {
    const { request_id: requestId } = await fal.queue.submit(id, { input });
    await fal.queue.cancel(id, { requestId });
    let status;
    do {
      await new Promise((wake) => setTimeout(wake, 50));
      status = await fal.queue.status(id, { requestId });
    } while (status.status !== "COMPLETED");
    const result = await attempt(fal.queue.result(id, { requestId }));
    const again = await attempt(fal.queue.cancel(id, { requestId }));
    return { status, result, again };
  },
  async run(id, input, options = {}) {
    return attempt(fal.run(id, { input, ...options }));
  },
  // Everything that may be said beside the input; how long the pictures made will live.
  async askedFor(id, input) {
    const storageSettings = { expiresIn: 90, initialAcl: { default: "forbid", rules: [{ user: "somebody", decision: "allow" }] } };
    const beside = { storageSettings, startTimeout: 60 };
    const said = { ...beside, hint: "warm", priority: "low", headers: { "X-Fal-No-Retry": "1" } };
    const results = [
      await fal.subscribe(id, { input, pollInterval: 50, ...said }),
      await fal.subscribe(id, { input, mode: "streaming", ...said }),
      await fal.run(id, { input, ...beside }),
    ];
    return await Promise.all(results.map((result) => lives(result.data.image.url)));
  },
  async runAborted(id, input) {
    const giveUp = new AbortController();
    setTimeout(() => giveUp.abort(), 1000);
    const error = await fal.run(id, { input, abortSignal: giveUp.signal }).then(() => null, (reason) => reason);
    return error?.name;
  },
  async stream(id, input) {
    const stream = await fal.stream(id, { input });
    const events = [];
    for await (const event of stream) events.push(event);
    return { events, done: await stream.done() };
  },
  async streamWithoutKey(id, input) {
    return await (await fal.stream(id, { input, connectionMode: "client" })).done();
  },
  async streamStatus(id, input) {
    const { request_id: requestId } = await fal.queue.submit(id, { input });
    const stream = await fal.queue.streamStatus(id, { requestId, logs: true });
    const events = [];
    for await (const event of stream) events.push(event);
    return { events, done: await stream.done() };
  },
  async streamStatusWithoutKey(id, input) {
    const { request_id: requestId } = await fal.queue.submit(id, { input });
    const stream = await fal.queue.streamStatus(id, { requestId, connectionMode: "client" });
    return await stream.done();
  },
  async abort(id, input) {
    const giveUp = new AbortController();
    const updates = [];
    const waiting = fal.subscribe(id, {
      input,
      pollInterval: 50,
      abortSignal: giveUp.signal,
      onQueueUpdate: (update) => {
        updates.push(update);
        giveUp.abort();
      },
    });
    const error = await waiting.then(() => null, (reason) => reason);
    return { name: error?.name, requestId: updates[0].request_id };
  },
  async timeout(id, input, timeout) {
    let requestId;
    const error = await fal
      .subscribe(id, { input, timeout, pollInterval: 50, onEnqueue: (given) => (requestId = given) })
      .then(() => null, (reason) => reason);
    let status;
    do {
      await new Promise((wake) => setTimeout(wake, 50));
      status = await fal.queue.status(id, { requestId });
    } while (status.status !== "COMPLETED");
    return { message: error.message, result: await attempt(fal.queue.result(id, { requestId })) };
  },
  // Sends each message when the one before it was answered.
  async realtime(id, messages) {
    const answers = [];
    const tokens = [];
    await new Promise((done) => {
      const next = (answer) => {
        answers.push(answer);
        if (answers.length === messages.length) done();
        else line.send(messages[answers.length]);
      };
      const line = fal.realtime.connect(id, {
        maxBuffering: 5,
        throttleInterval: 0,
        tokenProvider: async (app) => {
          tokens.push(app);
          return token(app.split("/")[1]);
        },
        onResult: (result) => next({ result }),
        onError: (error) => next({ error: error.message, body: error.body }),
      });
      line.send(messages[0]);
    });
    return { answers, tokens, hasOwnSocket };
  },
  async realtimeOfWhatIsNotThere(id) {
    return await new Promise((done) => {
      const line = fal.realtime.connect(id, {
        tokenProvider: async (app) => token(app.split("/")[1]),
        onResult: (result) => done({ result }),
        onError: (error) => done({ error: error.message, status: error.status }),
      });
      line.send({});
    });
  },
  async upload(text, type) {
    const url = await fal.storage.upload(new File([text], "hello.txt", { type }));
    const answer = await fetch(url);
    return { url, text: await answer.text(), type: answer.headers.get("content-type") };
  },
  async uploadFor(every) {
    const found = {};
    for (const expiresIn of every) {
      const initialAcl = { default: "hide" };
      const url = await fal.storage.upload(new Blob(["kept"], { type: "text/plain" }), { lifecycle: { expiresIn, initialAcl } });
      found[expiresIn] = await lives(url);
    }
    return found;
  },
  async uploadLarge(mebibytes) {
    const bytes = new Uint8Array(mebibytes * 1024 * 1024).map((_, i) => (i >> 12) % 251);
    const url = await fal.storage.upload(new Blob([bytes], { type: "application/octet-stream" }));
    const back = new Uint8Array(await (await fetch(url)).arrayBuffer());
    return { url, same: back.length === bytes.length && back.every((byte, i) => byte === bytes[i]) };
  },
  async autoUpload(id, input, text) {
    return attempt(fal.run(id, { input: { ...input, picture: new Blob([text], { type: "image/png" }) } }));
  },
  // fal's published recipe for checking a webhook, against a given JWKS address.
  async verifyWebhook(jwksUrl, headers, body) {
    const { keys } = await (await fetch(jwksUrl)).json();
    const message = [
      headers["x-fal-webhook-request-id"],
      headers["x-fal-webhook-user-id"],
      headers["x-fal-webhook-timestamp"],
      createHash("sha256").update(body).digest("hex"),
    ].join("\n");
    const signature = Buffer.from(headers["x-fal-webhook-signature"], "hex");
    const good = (key) => verify(null, Buffer.from(message), createPublicKey({ key, format: "jwk" }), signature);
    return keys.some(good);
  },
};

// A pipe takes 64 KiB at once: exiting before the rest has gone would cut it off.
process.stdout.write(`${JSON.stringify(await functions[name](...JSON.parse(args)))}\n`, () => process.exit(0));
