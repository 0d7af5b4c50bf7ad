import { defineConfig } from "vite";

// One page, one script, one style sheet; addresses are relative, so that Limner may live below a path.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/limner/playground",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
  },
  server: {
    fs: { allow: [".."] },
    proxy: Object.fromEntries(
      ["/limner/v1", "/fal.ai", "/queue.fal.run", "/rest.fal.ai", "/v3.fal.media"].map((path) => [
        path,
        "http://127.0.0.1:8000",
      ]),
    ),
  },
});
