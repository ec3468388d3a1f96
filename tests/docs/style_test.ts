// How pages, help and errors read: short enough, narrow enough, and without words that make readers stop.
import { assert, assertEquals } from "@std/assert";
import { Page, pageTest, read, ROOT, userPages } from "../support/pages.ts";

/** Most bytes of the README. */
const README_BYTES = 10_000;

/** Most columns of a line outside of tables and of blocks of code. */
const COLUMNS = 160;

/** Words that are not used, and what to write instead. */
const WORDS: readonly [RegExp, string][] = [
  [/\bwho(m)?ever\b/i, "name them: a process that, a peer that"],
  [/\bunless told\b/i, "by default"],
  [/\bfor ever\b/i, "without end, until"],
  [/\b(nothing|what) came of it\b/i, "say what happened"],
  [/\bcomes? of it\b/i, "its result"],
  [/\bcall(ed|s)? (it )?off\b/i, "end, cancel"],
  [/\btak(e|es|en|ing) (it |them )?for dead\b/i, "consider dead"],
  [/\bby strangers\b/i, "by others"],
  [/\bno use for\b/i, "unexpected"],
  [/\bmakes? no sense\b/i, "wrong, impossible"],
  [/\b(is|are|be) told of\b/i, "learns, is reported"],
  [/\bwithout a word\b/i, "silently"],
  [/\bnonsense\b/i, "malformed"],
  [/\bholds? nobody up\b/i, "delays no other"],
  [/\bthat (is|are) none\b/i, "say what it is instead"],
];

function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ isDirectory, name }) => {
    if (isDirectory) return sourcesIn(`${folder}/${name}`);
    return name.endsWith(".ts") ? [`${folder}/${name}`] : [];
  }).sort();
}

/** Where words are that are not used, also over the end of a line, and what to write instead. */
function badWords(path: string, text: string): string[] {
  const joined = text.replaceAll(/\n\s*(\*|\/\/)? */g, " ");
  return WORDS.flatMap(([word, better]) => {
    const found = word.exec(joined);
    if (found === null) return [];
    return [`${path} has "…${joined.slice(Math.max(0, found.index - 40), found.index)}${found[0]}"; better: ${better}`];
  });
}

const PAGES =
  () => [...userPages(), ...["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map((path) => new Page(path))];

pageTest("The README can be read at once", () => {
  const bytes = new TextEncoder().encode(read("README.md")).length;
  assert(bytes <= README_BYTES, `README.md has ${bytes} bytes, and ${README_BYTES} are the most: move parts to docs/`);
});

pageTest("The README says what it must: which one to use, waits, trust, guarantees and limits, in few lines", () => {
  const sections = new Map(
    read("README.md").split(/^## /m).slice(1).map((text) => [text.split("\n")[0]!, text] as const),
  );
  const lines = (name: string, of: RegExp) => sections.get(name)?.match(of)?.length ?? 0;
  assertEquals(lines("Which one do I need?", /^\| [^-]/gm), 1 + 8);
  assertEquals(lines("Three examples", /^```ts/gm), 4, "three examples, of which one is two programs");
  assertEquals(lines("Two commands", /^npx /gm), 2);
  for (const [name, most] of [["Waits", 3], ["Trust", 4], ["Guarantees", 6], ["Limits", 6]] as const) {
    const count = lines(name, /^- /gm);
    assert(count > 0 && count <= most, `README.md has ${count} lines under "${name}", and ${most} are the most`);
  }
  for (const name of ["Install", "Performance", "Platforms and other languages", "Links"]) {
    assert(sections.has(name), name);
  }
});

pageTest("No line of a page is too wide to be read", () => {
  const wide = PAGES().flatMap((page) =>
    page.prose.split("\n").filter((line) => line.length > COLUMNS && !line.startsWith("|")).map((line) =>
      `${page.path}: ${line.slice(0, 60)}…`
    )
  );
  assertEquals(wide, []);
});

pageTest("Pages, and with them the help of the command line, are written in plain words", () => {
  assertEquals(PAGES().flatMap((page) => badWords(page.path, page.text)), []);
});

pageTest("Comments and messages are written in plain words", () => {
  const files = ["base", "cbor", "ffi", "channel", "arc", "cli"].flatMap(sourcesIn);
  assert(files.length > 100);
  assertEquals(files.flatMap((path) => badWords(path, read(path))), []);
});
