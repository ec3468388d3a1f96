// The numbers of docs/protocol.md are those of the code.
import { assert, assertEquals } from "@std/assert";
import { mayRead, read } from "../support/pages.ts";

const PAGE = "docs/protocol.md";

/** Files whose constants others make theirs of. */
const SHARED = ["channel/ring/layout.ts", "channel/ring/handle.ts"];

/** The tables of constants: the file that each says it is from, and its rows. */
function tables(): { from: string; rows: { what: string; value: string; expression: string }[] }[] {
  return [...read(PAGE).matchAll(/<!-- constants from (\S+) -->\n\n((?:\|.*\n)+)/g)].map(([, from, table]) => ({
    from: from!,
    rows: table!.trimEnd().split("\n").slice(2).map((row) => {
      const [what, value, expression] = row.slice(1, -1).split("|").map((cell) => cell.trim());
      return { what: what!, value: value!, expression: expression!.replaceAll("`", "") };
    }),
  }));
}

/** What the constants of a source file are, as they stand there. */
function constantsOf(path: string): Map<string, string> {
  // Comments out, but not the "//" of a text.
  const code = read(path).replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
  const found = new Map<string, string>();
  for (const [, list] of code.matchAll(/^(?:export )?const ([A-Z][^;]*);/gm)) {
    for (const [, name, value] of list!.matchAll(/([A-Z][A-Z_0-9]*)(?:: \w+)? = ([^,]+)/g)) {
      found.set(name!, value!.trim());
    }
  }
  return found;
}

/** Numbers, + - * / << ** and brackets; names are those of the file. */
function valueOf(expression: string, constants: Map<string, string>, path: string, depth = 0): number {
  assert(depth < 10, `${path}: ${expression}`);
  const numbers = expression.replaceAll(/(?<![\w.])[A-Z][A-Z_0-9]*\b/g, (name) => {
    const known = constants.get(name) ?? SHARED.map((file) => constantsOf(file).get(name)).find((found) => found);
    assert(known !== undefined, `${path} has no constant ${name}, which ${PAGE} names`);
    return `(${valueOf(known, constants, path, depth + 1)})`;
  }).replaceAll(/(?<=[0-9a-fA-F])_/g, "");
  assert(/^[\d\sxa-fA-F.()*+\/<-]+$/.test(numbers), `${path}: "${expression}" is no number`);
  return Function(`return (${numbers});`)() as number;
}

Deno.test({
  name: "Every constant of the protocol is the one in the source file that the page names",
  ignore: !mayRead,
  fn() {
    const all = tables();
    assert(all.length >= 22 && all.reduce((sum, { rows }) => sum + rows.length, 0) >= 131, "the tables are there");
    for (const { from, rows } of all) {
      const constants = constantsOf(from);
      for (const { what, value, expression } of rows) {
        assertEquals(Number(value), valueOf(expression, constants, from), `${PAGE} says of ${from}: ${what}`);
      }
    }
  },
});

/** Files whose constants are all of the protocol, and those that are nothing to others. */
const WHOLE: Record<string, readonly string[]> = {
  "channel/ring/layout.ts": ["BLOCK_SHIFT", "WARM_BLOCKS", "W_MAGIC", "HEADER_BYTES", "DATA_START"],
  "channel/ring/ringless.ts": [],
  "channel/broadcast/layout.ts": ["BLOCK_SHIFT", "W_MAGIC", "HEADER_WORDS", "WORDS"],
  "arc/segment/header.ts": ["MAGIC", "SIZE_HIGH", "FINGERPRINT_HIGH"],
  "arc/locks/layout.ts": ["W_MAGIC"],
};

Deno.test({
  name: "Every constant of a layout is on the page of the protocol",
  ignore: !mayRead,
  fn() {
    for (const [path, others] of Object.entries(WHOLE)) {
      const named = tables().filter(({ from }) => from === path).flatMap(({ rows }) => rows).map((row) =>
        row.expression
      )
        .join(" ");
      for (const name of constantsOf(path).keys()) {
        assert(others.includes(name) || new RegExp(`\\b${name}\\b`).test(named), `${PAGE} lacks ${name} of ${path}`);
      }
    }
  },
});

Deno.test({
  name: "Versions on the page of the protocol are those of the code",
  ignore: !mayRead,
  fn() {
    const page = read(PAGE);
    const versions: readonly (readonly [row: string, path: string, name: string])[] = [
      ["rings, and what travels beside them", "channel/ring/layout.ts", "FORMAT_VERSION"],
      ["greetings of clients", "channel/ring/layout.ts", "FORMAT_VERSION"],
      ["topics, and their seats", "channel/broadcast/layout.ts", "FORMAT_VERSION"],
      ["cells", "arc/segment/header.ts", "FORMAT_VERSION"],
      ["locks by name", "arc/locks/layout.ts", "FORMAT_VERSION"],
      ["frames of calls", "channel/call/frame.ts", "CALL_VERSION"],
    ];
    for (const [row, path, name] of versions) {
      const found = new RegExp(`^\\| ${row} +\\| (\\d+) `, "m").exec(page)?.[1];
      assertEquals(found, constantsOf(path).get(name), row);
    }
  },
});
