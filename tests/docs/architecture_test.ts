// The table of rooms in `docs/architecture.md` is the truth, for people and for this test.
import { assert } from "@std/assert";
import { NOT_EMULATED } from "../arm64/not_emulated.ts";
import { codeOf, importsOf, withoutStrings } from "../support/source_text.ts";
import { pageTest as test, read, ROOT } from "../support/pages.ts";

const PAGE = "docs/architecture.md";

/** What users get. */
const LIBRARY = ["base", "cbor", "ffi", "channel", "arc"];
const ROOMS = [...LIBRARY, "cli"];
const SOURCE = /\.(ts|mjs|c|py|rs|pml)$/;
const MOST_LINES = 450;

/** Files that are generated, or cannot be divided, and why. */
const LONG_FOR_A_REASON: Readonly<Record<string, string>> = {
  "tests/model/ring.pml": "one model: what is checked is all of it together",
};

/** Tests that look inside, by where they are: a hostile peer is made of the insides. */
const LOOKS_INSIDE = /\/inside\/|^tests\/(hostile|docs)\//;
/** What programs import. */
const PUBLIC = /^((channel|arc|ffi|cli)\/)?mod\.ts$/;

/** Types in signatures that programs know: they run nothing. */
const PUBLIC_TYPES = /\bDeno\.(CommandStatus|Signal)\b/g;

/** One row of the table. */
interface Row {
  readonly room: string;
  readonly allowed: readonly string[];
  /** Rooms within the allowed ones that are not. */
  readonly denied: readonly string[];
}

function filesIn(folder: string, wanted: RegExp): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ isDirectory, name }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return /^(node_modules|target)$/.test(name) ? [] : filesIn(path, wanted);
    return wanted.test(name) ? [path] : [];
  }).sort();
}

const codeFiles = () => ["mod.ts", ...ROOMS.flatMap((room) => filesIn(room, /\.ts$/))];

/** The rows whose first cell names rooms. */
function table(): Row[] {
  const names = (text: string) => [...text.matchAll(/`([\w./]+)`/g)].map((match) => match[1]!);
  return [...read(PAGE).matchAll(/^\| (`[^|]*`) +\|[^|]*\| ([^|]*) \|$/gm)].flatMap(([, rooms, imports]) => {
    const [allowed, denied = ""] = imports!.split(" except ");
    return names(rooms!).map((room) => ({ room, allowed: names(allowed!), denied: names(denied) }));
  });
}

const isIn = (path: string, room: string) => path === room || path.startsWith(`${room}/`);

/** The row of the innermost room that a file is in. */
function rowOf(path: string, rows: readonly Row[]): Row | undefined {
  return rows.filter(({ room }) => isIn(path, room)).sort((a, b) => b.room.length - a.room.length)[0];
}

function expectNone(found: readonly string[], advice: string): void {
  assert(found.length === 0, `${advice}\n  ${found.join("\n  ")}`);
}

test("Every import is one that the table of rooms allows", () => {
  const rows = table();
  assert(rows.length > 10, `${PAGE} has no table of rooms, or one of another form`);
  const found: string[] = [];
  for (const path of codeFiles()) {
    const row = rowOf(path, rows);
    assert(row !== undefined, `${path} is in no room of the table in ${PAGE}`);
    for (const imported of importsOf(path, read(path))) {
      const other = rowOf(imported, rows);
      if (other === undefined || other === row) continue; // no room, or the same
      const fits = row.allowed.some((room) => isIn(imported, room)) &&
        !row.denied.some((room) => isIn(imported, room));
      if (!fits) found.push(`${path} imports ${imported}`);
    }
  }
  expectNone(found, `Against the table in ${PAGE}:`);
});

test("The table names no room that does not exist", () => {
  for (const { room, allowed, denied } of table()) {
    for (const name of [room, ...allowed, ...denied]) Deno.statSync(new URL(name, ROOT));
  }
});

test("Every file and folder that the page names exists", () => {
  const named = [...read(PAGE).matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map((match) => match[1]!);
  assert(named.length > 50);
  for (const path of named) Deno.statSync(new URL(path, ROOT));
});

test("No file imports itself by way of others", () => {
  const imports = new Map(codeFiles().map((path) => [path, importsOf(path, read(path))]));
  const done = new Set<string>(), found: string[] = [];
  const visit = (path: string, way: readonly string[]) => {
    const before = way.indexOf(path);
    if (before >= 0) found.push([...way.slice(before), path].join(" → "));
    if (before >= 0 || done.has(path)) return;
    for (const next of imports.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of imports.keys()) visit(path, []);
  expectNone(found, "Imports in a circle:");
});

test("Tests that look inside stand apart from those of the public API", () => {
  const found: string[] = [];
  for (const path of filesIn("tests", /_test\.ts$/)) {
    if (LOOKS_INSIDE.test(path)) continue;
    for (const imported of importsOf(path, read(path))) {
      if (!isIn(imported, "tests") && !PUBLIC.test(imported)) found.push(`${path} imports ${imported}`);
    }
  }
  expectNone(found, "Move them into a folder inside/ of theirs, or use what programs use:");
});

test("Every test that emulation leaves out exists", () => {
  for (const { file } of NOT_EMULATED) Deno.statSync(new URL(`tests/${file}`, ROOT));
});

test("No file is too long to be read at once", () => {
  const folders = [...ROOMS, "tests", "bench", "examples", ".ci"];
  const found = folders.flatMap((folder) => filesIn(folder, SOURCE)).filter((path) => {
    return !(path in LONG_FOR_A_REASON) && read(path).split("\n").length - 1 > MOST_LINES;
  }).map((path) => `${path} is long`);
  expectNone(found, `More than ${MOST_LINES} lines: divide by idea`);
});

test("The code runs when its types are taken out", () => {
  const found = ROOMS.flatMap((room) => filesIn(room, /\.ts$/)).filter((path) => {
    const code = withoutStrings(codeOf(read(path)));
    return /^\s*(export )?(const )?(enum|namespace) \w+/m.test(code) ||
      /\bconstructor\((?:[^()]*[(,\s])?(?:(?:public|private|protected) |readonly \w+[?]?:)/.test(code);
  });
  expectNone(found, "Parameter properties, enums and namespaces are more than types:");
});

test("Only the seam to the runtime knows Deno", () => {
  const found = LIBRARY.flatMap((room) => filesIn(room, /\.ts$/))
    .filter((path) => !isIn(path, "ffi/runtime"))
    .filter((path) => /(?<![\w.])Deno\b/.test(withoutStrings(codeOf(read(path))).replaceAll(PUBLIC_TYPES, "")))
    .map((path) => `${path} names Deno`);
  expectNone(found, "What the library needs of the runtime goes through ffi/runtime:");
});

test("Only ffi knows the numbers and the paths of the system", () => {
  const constants = filesIn("ffi/libc", /\.ts$/).flatMap((path) => {
    return [...codeOf(read(path)).matchAll(/\b([A-Z][A-Z0-9]*_?[A-Z0-9_]+)\s*=\s*-?\d/g)].map((match) => match[1]!);
  });
  assert(constants.includes("ENOENT") && constants.includes("POLLIN"));
  const number = new RegExp(`\\b(${constants.join("|")}|POLL[A-Z]+|O_[A-Z]+|F_[A-Z]+)\\b`);
  const path = /["'`]\/(proc|dev\/shm)\b/;
  const found: string[] = [];
  for (const file of ROOMS.filter((room) => room !== "ffi").flatMap((room) => filesIn(room, /\.ts$/))) {
    const code = codeOf(read(file));
    const name = number.exec(withoutStrings(code))?.[0] ?? path.exec(code)?.[0].slice(1);
    if (name !== undefined) found.push(`${file} names ${name}`);
  }
  expectNone(found, "Flags, errors and paths of the system belong into ffi:");
});
