import { assert, assertEquals } from "@std/assert";
import { pageTest as test, read, ROOT } from "../support/pages.ts";

const PAGE = "docs/internals.md", PROTOCOL = "docs/protocol.md";
const MODELS = ["tests/model/ring.pml", "tests/model/ringless.pml"];
/** The folders whose drawings the page of the protocol must have. */
const DRAWN = ["channel", "arc"];

/** Without the indentation that all lines have: the formatter takes it out of a page. */
function dedented(text: string): string {
  const lines = text.split("\n");
  const indent = Math.min(...lines.filter((line) => line !== "").map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join("\n");
}

/** The text between "```text" and "```" in the comments of a source file, without the signs of the comment. */
function drawingsIn(path: string): string[] {
  const lines = read(path).split("\n").map((line) => line.replace(/^\s*(\/\/|\*) ?/, ""));
  return [...lines.join("\n").matchAll(/^```text\n(.*?)^```$/gms)].map((match) => dedented(match[1]!));
}

/** Every drawing of the protocol, and the file that it says it is from. */
function quoted(): { from: string | undefined; drawing: string }[] {
  const page = read(PROTOCOL);
  return [...page.matchAll(/(?:<!-- from (\S+) -->\s*)?^```text\n(.*?)^```$/gms)]
    .map((match) => ({ from: match[1], drawing: dedented(match[2]!) }));
}

/** What the page says outside of its drawings, in backquotes. */
function terms(): string[] {
  const prose = read(PAGE).replaceAll(/^```text\n.*?^```$/gms, "");
  return [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
}

function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ isDirectory, name }) => {
    if (isDirectory) return sourcesIn(`${folder}/${name}`);
    return name.endsWith(".ts") ? [`${folder}/${name}`] : [];
  }).sort();
}

test("Every drawing of the protocol is the one in the source file that it names", () => {
  const drawings = quoted();
  assert(drawings.length > 0);
  for (const { from, drawing } of drawings) {
    assert(from !== undefined, `No marker says which file this drawing of ${PROTOCOL} is from:\n${drawing}`);
    const originals = drawingsIn(from);
    // The first one, so that a difference is shown.
    if (!originals.includes(drawing)) {
      assertEquals(drawing, originals[0], `${PROTOCOL} quotes ${from}, which has changed`);
    }
  }
});

test("Every drawing of the memory and of the messages is on the page of the protocol", () => {
  const found = new Set(quoted().map(({ drawing }) => drawing));
  for (const path of DRAWN.flatMap(sourcesIn)) {
    for (const drawing of drawingsIn(path)) {
      assert(found.has(drawing), `${PROTOCOL} lacks a drawing of ${path}:\n${drawing}`);
    }
  }
});

test("Every file that the page names exists", () => {
  const files = terms().filter((term) => /^[\w./-]+\.(ts|pml|c|py|md)$/.test(term));
  assert(files.length > 0);
  for (const file of files) {
    const url = new URL(file, ROOT);
    assert(isFile(url), `${PAGE} names "${file}", which does not exist; name files from the root of the repository`);
  }
});

function isFile(url: URL): boolean {
  try {
    return Deno.statSync(url).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

test("Every function that the page names exists", () => {
  const sources = ["channel", "arc", "cbor", "ffi", "base"].flatMap(sourcesIn).map(read).join("\n");
  const functions = terms().filter((term) => /^#?\w+\(\)$/.test(term));
  assert(functions.length > 0);
  for (const name of new Set(functions)) {
    const declared = new RegExp(`^\\s*(export )?((static|async|function|get) )*${name.slice(0, -2)}(<.*>)?\\(.*$`, "m");
    assert(declared.test(sources), `${PAGE} names ${name}, which is in no source file`);
  }
});

/** The rows of the table of orderings: a pair's name, and what takes it out of the model. */
function pairs(): { name: string; defines: string[]; modelled: boolean }[] {
  const section = /^## Orderings\n(.*?)^## /ms.exec(read(PAGE))?.[1] ?? "";
  return [...section.matchAll(/^\| `(\w+\/\w+)` .*\| ([^|]+?) *\|$/gm)].map(([, name, last]) => ({
    name: name!,
    defines: [...last!.matchAll(/`(\w+)`/g)].map((match) => match[1]!),
    modelled: last !== "not in the model",
  }));
}

/** How often each pair is named as "pair: NAME" in a text. */
function namedIn(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, name] of text.matchAll(/pair: (\w+\/\w+)/g)) counts.set(name!, (counts.get(name!) ?? 0) + 1);
  return counts;
}

test("Every pair of accesses whose order matters stands on both sides in the code, and in the model", () => {
  const known = pairs();
  assert(known.length >= 9, "the table of orderings is there");
  const code = namedIn(sourcesIn("channel/ring").map(read).join("\n"));
  const model = namedIn(MODELS.map(read).join("\n")), mutations = read("tests/model/model.ts");
  for (const { name, defines, modelled } of known) {
    assert((code.get(name) ?? 0) >= 2, `channel/ring/ says "pair: ${name}" on fewer than two sides`);
    if (!modelled) continue;
    assert((model.get(name) ?? 0) >= 2, `no model says "pair: ${name}" on two sides`);
    assert(defines.length > 0, `${PAGE} does not say what takes ${name} out of the model`);
    for (const define of defines) {
      assert(new RegExp(`"[^"]*\\b${define}\\b[^"]*"`).test(mutations), `tests/model/model.ts does not try ${define}`);
    }
  }
  const names = new Set(known.map(({ name }) => name));
  for (const name of [...code.keys(), ...model.keys()]) assert(names.has(name), `${PAGE} lacks the pair ${name}`);
});
