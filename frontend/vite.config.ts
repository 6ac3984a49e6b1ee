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

interface EmojibaseEntry {
  emoji: string;
  label: string;
  tags?: string[];
  group?: number;
  version: number;
}

/** `virtual:emoji/<language>`: the emojis by group, with no more of each than the picker searches and shows. */
function emojiData(): Plugin {
  const resolved = "\0virtual:emoji/";
  return {
    name: "emoji-data",
    resolveId: (id) => (id.startsWith("virtual:emoji/") ? `\0${id}` : undefined),
    load(id) {
      if (!id.startsWith(resolved)) return undefined;
      const language = id.slice(resolved.length);
      const all: EmojibaseEntry[] = JSON.parse(readFileSync(resolve(import.meta.dirname, `node_modules/emojibase-data/${language}/data.json`), "utf8"));
      // What the systems of today draw: newer ones would be boxes, and nothing at run time tells.
      const known = all.filter(({ group, version }) => group !== undefined && group !== 2 && version <= EMOJI_VERSION);
      const emojis = known.map(({ emoji, label, tags = [], group }) => [emoji, label, tags.join("|"), group]);
      // As a string: the parser of JSON is several times faster than that of JavaScript.
      return `export default JSON.parse(${JSON.stringify(JSON.stringify({ emojis }))});`;
    },
  };
}

/** Of 2022: in Android 13, iOS 16, Windows 11 and Noto since. */
const EMOJI_VERSION = 15;

const server = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), tailwindcss(), emojiData(), precompress()],
  server: {
    port: 5173,
    strictPort: true,
    // `Host` stays that of the page, so that the server sees the same origin.
    proxy: {
      "/user": server,
      "/users": server,
      "/messages": server,
      "/conversations": server,
      "/openapi.json": server,
      "/asyncapi.json": server,
      "/api": server,
      "/files": server,
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
          include: ["src/*.test.ts", "src/model/**/*.test.ts", "src/client/**/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "screen",
          environment: "jsdom",
          setupFiles: ["src/test/setup.ts"],
          include: ["src/**/*.test.{ts,tsx}"],
          exclude: ["src/*.test.ts", "src/model/**", "src/client/**"],
        },
      },
    ],
  },
});
