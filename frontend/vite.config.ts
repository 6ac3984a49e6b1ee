// How the front end is built, served while developing, and tested.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const COMPRESSIBLE = new Set([".js", ".css", ".html", ".svg", ".json", ".txt", ".webmanifest", ".map", ".ico"]);

/** Writes `.br` and `.gz` beside each file worth it, so that the server never compresses at run time. */
function precompress(): Plugin {
  let outDir = "dist";
  const visit = (folder: string): void => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) visit(path);
      else if (COMPRESSIBLE.has(extname(path))) compress(path);
    }
  };
  const compress = (path: string): void => {
    const plain = readFileSync(path);
    const brotli = brotliCompressSync(plain, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
      },
    });
    const gzip = gzipSync(plain, { level: constants.Z_BEST_COMPRESSION });
    // A tiny file grows by its headers; then there is nothing to serve.
    if (brotli.length < plain.length) writeFileSync(`${path}.br`, brotli);
    if (gzip.length < plain.length) writeFileSync(`${path}.gz`, gzip);
  };
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      outDir = resolve(config.root, config.build.outDir);
    },
    closeBundle: { order: "post", handler: () => visit(outDir) },
  };
}

const server = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), tailwindcss(), precompress()],
  server: {
    port: 5173,
    strictPort: true,
    // `Host` stays that of the page, so that the server sees the same origin.
    proxy: {
      "/user": server,
      "/users": server,
      "/messages": server,
      "/conversations": server,
      "/ws": { target: server, ws: true },
    },
  },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // The server's content security policy allows `data:` for images only.
    assetsInlineLimit: 0,
  },
  test: {
    passWithNoTests: true,
    projects: [
      {
        extends: true,
        test: {
          name: "library",
          environment: "node",
          include: ["src/*.test.ts", "src/model/**/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "screen",
          environment: "jsdom",
          setupFiles: ["src/test/setup.ts"],
          include: ["src/**/*.test.{ts,tsx}"],
          exclude: ["src/*.test.ts", "src/model/**"],
        },
      },
    ],
  },
});
