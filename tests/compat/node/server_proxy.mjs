// fal's own server-proxy, unmodified, in Express, in Hono, and behind both of Next's routers; the client
// calls it as a page would.
// node --import ./names.mjs server_proxy.mjs KIND; the proxy's own calls go to fal's names.
import { createServer } from "node:http";
import Module, { createRequire } from "node:module";
import { serve } from "@hono/node-server";
import { createFalClient } from "@fal-ai/client";
import { createHandler } from "@fal-ai/server-proxy/express";
import { createRouteHandler } from "@fal-ai/server-proxy/hono";
import express from "express";
import { Hono } from "hono";

const [kind, id] = process.argv.slice(2);
const path = "/api/fal/proxy";
const config = { allowedEndpoints: [id, `${id}/**`], allowUnauthorizedRequests: true };

// Next itself is 150 MB and would have to build an app. Its adapter takes one class from it, which adds to
// the web's own Response only what is not used here; the requests below are real ones.
function nextAdapter() {
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (name, ...rest) {
    return name === "next/server" ? name : resolve.call(this, name, ...rest);
  };
  const stand = new Module("next/server");
  Object.assign(stand, { exports: { NextResponse: Response }, loaded: true });
  Module._cache["next/server"] = stand;
  return createRequire(import.meta.url)("@fal-ai/server-proxy/nextjs");
}

const kinds = {
  // A page router's handler gets Node's request and response with Express' status, json and send.
  nextPages() {
    const app = express().use(express.json());
    app.all(path, nextAdapter().createPageRouterHandler(config));
    return createServer(app);
  },
  // An app router's gets the web's Request and answers the web's Response.
  nextApp() {
    const route = nextAdapter().createRouteHandler(config);
    return serve({ fetch: (request) => route[request.method](request), port: 0, hostname: "127.0.0.1" });
  },
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
const listens = kind === "hono" || kind === "nextApp";
await new Promise((up) => (server.listening ? up() : listens ? server.once("listening", up) : server.listen(0, "127.0.0.1", up)));
const fal = createFalClient({ proxyUrl: { url: `http://127.0.0.1:${server.address().port}${path}`, when: "always" } });

const updates = [];
const subscribed = await fal.subscribe(id, { input: { steps: 3, pause: 0.1 }, logs: true, pollInterval: 50, onQueueUpdate: (u) => updates.push(u) });
// fal says of its adapter that "the page routers proxy doesn't support streaming responses".
const stream = kind === "nextPages" ? null : await fal.stream(id, { input: { steps: 2 } });
const url = await fal.storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
const wrong = await fal.run(id, { input: { steps: -1 } }).then((answer) => ({ data: answer.data }), (error) => ({ status: error.status, body: error.body }));
console.log(
  JSON.stringify({
    subscribed: subscribed.data.steps,
    completed: updates.at(-1).status,
    last: stream && (await stream.done()).steps,
    uploaded: await (await fetch(url)).text(),
    wrong,
  }),
);
process.exit(0);
