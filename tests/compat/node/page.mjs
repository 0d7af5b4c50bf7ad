// What runs in the browser: fal's own client, unmodified. Bundled by browser.mjs.
import { ApiError, createFalClient } from "@fal-ai/client";

const told = (error) => ({ status: error.status, body: error.body, requestId: error.requestId, api: error instanceof ApiError, text: String(error) });

// Every kind of call once; `config` is the road.
window.callAll = async (id, config, realtime) => {
  const fal = createFalClient(config);
  const attempt = async (call) => {
    try {
      return await call();
    } catch (error) {
      return { failed: told(error) };
    }
  };
  const subscribe = (options) => async () => {
    const updates = [];
    const result = await fal.subscribe(id, { input: { steps: 3, pause: 0.1 }, logs: true, pollInterval: 100, ...options, onQueueUpdate: (u) => updates.push(u.status) });
    return { steps: result.data.steps, requestId: result.requestId, last: updates.at(-1) };
  };
  const answers = {
    polling: await attempt(subscribe({})),
    streaming: await attempt(subscribe({ mode: "streaming" })),
    run: await attempt(async () => (await fal.run(id, { input: { steps: 2 } })).data.steps),
    picture: await attempt(async () => {
      const { data } = await fal.run(id, { input: { steps: 0 } });
      return await (await fetch(data.image.url)).text();
    }),
    stream: await attempt(async () => {
      const stream = await fal.stream(id, { input: { steps: 2, pause: 0.05 } });
      const messages = [];
      for await (const event of stream) messages.push(event.message);
      return { messages, last: (await stream.done()).steps };
    }),
    upload: await attempt(async () => {
      const url = await fal.storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
      return await (await fetch(url)).text();
    }),
    autoUpload: await attempt(async () => (await fal.run(id, { input: { steps: 0, picture: new Blob(["12345"], { type: "image/png" }) } })).data.read),
    wrong: await attempt(() => fal.run(id, { input: { steps: -1 } })),
  };
  if (realtime) {
    answers.realtime = await attempt(
      () =>
        new Promise((done, fail) => {
          const line = fal.realtime.connect(id, { onResult: done, onError: fail });
          line.send({ steps: 1, request_id: "mine" });
        }),
    );
  }
  return answers;
};
