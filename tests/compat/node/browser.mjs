// A page of another origin in a real Chromium calls a Limner by fal's own client; prints one JSON document.
// node browser.mjs CHROMIUM BASE TLS_PORT SPKI ID
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { build } from "esbuild";

const [executablePath, base, tlsPort, spki, id] = process.argv.slice(2);
const bundle = await build({ entryPoints: ["page.mjs"], bundle: true, write: false, format: "iife", platform: "browser", logLevel: "error" });
const script = bundle.outputFiles[0].text;

const site = createServer((request, response) => {
  const isScript = request.url === "/page.js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8");
  response.end(isScript ? script : '<!doctype html><title>An app of a person</title><script src="/page.js"></script>');
});
await new Promise((up) => site.listen(0, "127.0.0.1", up));

// Road A: fal's names lead to this machine, and our certificate is known by its key, as a browser's
// trust store would know our authority.
const names = ["fal.run", "*.fal.run", "*.fal.ai", "*.fal.media"].map((name) => `MAP ${name}:443 127.0.0.1:${tlsPort}`);
const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    `--host-resolver-rules=${names.join(",")}`,
    `--ignore-certificate-errors-spki-list=${spki}`,
  ],
});
const proxy = `${base}/api/fal/proxy`;
const roads = {
  text: [{ proxyUrl: proxy }, false],
  always: [{ proxyUrl: { url: proxy, when: "always" } }, false],
  names: [{ credentials: "any:key", suppressLocalCredentialsWarning: true }, true],
};
const told = {};
try {
  for (const [road, [config, realtime]] of Object.entries(roads)) {
    const page = await browser.newPage();
    const complaints = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(`http://localhost:${site.address().port}/`);
    told[road] = { ...(await page.evaluate(([...call]) => window.callAll(...call), [id, config, realtime])), complaints };
    await page.close();
  }
  // A page that is not of this machine may not use a keyless Limner (decision 0003).
  const stranger = await browser.newPage();
  await stranger.route("http://stranger.test/", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
  await stranger.goto("http://stranger.test/");
  told.stranger = await stranger.evaluate(
    ([url, target]) =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json", "x-fal-target-url": target }, body: "{}" }).then(
        (answer) => answer.status,
        (error) => error.name,
      ),
    [proxy, `https://fal.run/${id}`],
  );
} finally {
  await browser.close();
}
console.log(JSON.stringify(told));
process.exit(0);
