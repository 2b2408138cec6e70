// Makes the page: `node src/page/build.ts` bundles what is here into one HTML text, which the API serves as it is.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const ROOM = import.meta.dirname;
const BUILT = join(ROOM, "../http/page-built.ts");
const MOST_KB = 60;

const { outputFiles } = await build({
  entryPoints: [join(ROOM, "main.tsx")],
  bundle: true,
  minify: true,
  write: false,
  outdir: "out",
  format: "iife",
  target: ["chrome120", "firefox121", "safari17"],
  legalComments: "none",
  inject: [join(ROOM, "jsx.ts")],
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment" } },
  plugins: [{ name: "dagre", setup: ({ onLoad }) => onLoad({ filter: /dagre\.esm\.js$/ }, loadDagre) }],
});
const textOf = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))?.text.trim() ?? "";
const { code = "" } = await minify(textOf(".js"), {
  toplevel: true,
  compress: { ecma: 2020, passes: 3, pure_getters: true, unsafe_arrows: true, unsafe_methods: true },
});
// What ends a script in HTML is escaped, whoever has put it into a text.
const script = code.replaceAll("</script", "<\\/script");
const style = textOf(".css");
const html = readFileSync(join(ROOM, "page.html"), "utf8")
  .replace("<!--style-->", () => `<style>${style}</style>`)
  .replace("<!--script-->", () => `<script>${script}</script>`);

/** Nothing but what is in the page itself, and the API that serves it. */
const policy = [
  "default-src 'none'",
  `script-src '${hashOf(script)}'`,
  `style-src '${hashOf(style)}'`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const kb = gzipSync(html, { level: 9 }).length / 1000;
if (kb > MOST_KB) throw new Error(`Expected the page to have at most ${MOST_KB} KB in gzip, got ${kb.toFixed(1)}`);
writeFileSync(
  BUILT,
  `// Made by src/page/build.ts.\nexport const PAGE = ${JSON.stringify(html)};\nexport const POLICY = ${JSON.stringify(policy)};\n`,
);
console.log(`page: ${kb.toFixed(1)} KB in gzip`);

/**
 * dagre comes as one file, with all of its graph library put together in objects. Where it takes functions out of such an object they
 * are named themselves; then nobody uses these objects, and what is in them alone is left out.
 */
function loadDagre({ path }: { path: string }) {
  const text = readFileSync(path, "utf8");
  const made = /(?<=[;}])[\w$]+\(([\w$]+),(\{(?:\w+:\(\)=>[\w$]+,?)+\})\)/g;
  const taken = /var\{([\w$:,]+)\}=([\w$]+)(?=[,;])/g;
  const members = new Map(Array.from(text.matchAll(made), ([, name = "", body = ""]) => [name, body]));
  const named = text.replace(taken, (whole, names: string, from: string) => {
    const body = members.get(from);
    return body ? `var ${names.split(",").map((pair) => declared(pair, body))}` : whole;
  });
  if (members.size === 0 || named === text) throw new Error(`Expected ${path} to be put together as before`);
  return { contents: named.replace(made, "/* @__PURE__ */$&"), loader: "js" as const };
}

/** `preorder:Nt` of an object with `preorder:()=>tt` is `Nt=tt`. */
function declared(pair: string, body: string): string {
  const [member, name] = pair.split(":");
  const [, own] = new RegExp(`[{,]${member}:\\(\\)=>([\\w$]+)`).exec(body) ?? [];
  if (own === undefined) throw new Error(`Expected dagre to have ${member}`);
  return `${name}=${own}`;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
