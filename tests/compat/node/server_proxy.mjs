// fal's own server-proxy, unmodified, in Express and in Hono; the client calls it as a page would.
// node --import ./names.mjs server_proxy.mjs KIND; the proxy's own calls go to fal's names.
import { createServer } from "node:http";
import { serve } from "@hono/node-server";
import { createFalClient } from "@fal-ai/client";
import { createHandler } from "@fal-ai/server-proxy/express";
import { createRouteHandler } from "@fal-ai/server-proxy/hono";
import express from "express";
import { Hono } from "hono";

const [kind, id] = process.argv.slice(2);
const path = "/api/fal/proxy";
const config = { allowedEndpoints: [id, `${id}/**`], allowUnauthorizedRequests: true };

const kinds = {
  express() {
    const app = express().use(express.json());
    app.all(path, createHandler(config));
    return createServer(app);
  },
  hono() {
    const app = new Hono();
    const route = createRouteHandler(config);
    app.all(path, route);
    return serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
  },
};
const server = kinds[kind]();
await new Promise((up) => (server.listening ? up() : kind === "express" ? server.listen(0, "127.0.0.1", up) : server.once("listening", up)));
const fal = createFalClient({ proxyUrl: { url: `http://127.0.0.1:${server.address().port}${path}`, when: "always" } });

const updates = [];
const subscribed = await fal.subscribe(id, { input: { steps: 3, pause: 0.1 }, logs: true, pollInterval: 50, onQueueUpdate: (u) => updates.push(u) });
const stream = await fal.stream(id, { input: { steps: 2 } });
const url = await fal.storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
const wrong = await fal.run(id, { input: { steps: -1 } }).then((answer) => ({ data: answer.data }), (error) => ({ status: error.status, body: error.body }));
console.log(
  JSON.stringify({
    subscribed: subscribed.data.steps,
    completed: updates.at(-1).status,
    last: (await stream.done()).steps,
    uploaded: await (await fetch(url)).text(),
    wrong,
  }),
);
process.exit(0);
