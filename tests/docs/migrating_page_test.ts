// The names that the tables for those who come from something else give are names of this package.
import { assert } from "@std/assert";
import { Page, read, ROOT } from "../support/pages.ts";
import { processTest } from "../support/test.ts";

interface Member {
  readonly name: string;
}

interface Documented {
  readonly name: string;
  readonly declarations: readonly {
    readonly declarationKind: string;
    readonly def?: { readonly methods?: Member[]; readonly properties?: Member[] };
  }[];
}

/** Every exported name with the names of its members, its options' included. */
async function exported(): Promise<Map<string, Set<string>>> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: ROOT,
    stderr: "null",
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as {
    nodes: Record<string, { symbols: Documented[] }>;
  };
  const names = new Map<string, Set<string>>();
  for (const { name, declarations } of Object.values(nodes).flatMap(({ symbols }) => symbols)) {
    const members = declarations.flatMap(({ def }) => [...def?.methods ?? [], ...def?.properties ?? []]);
    names.set(name, new Set(members.map((member) => member.name)));
  }
  return names;
}

/** Words of the tables that are the reader's own, or the language's. */
const NOT_NAMES = /^(new|using|await|guard|child|of)$/;

/** Codes of errors stand beside the word `code` in the tables. */
function isCode(word: string): boolean {
  return [...read("base/error.ts").matchAll(/^ {2}\| "(\w+)"/gm)].some(([, code]) => code === word);
}

processTest("Every name that the tables give is exported, or a member of what is", async () => {
  const names = await exported(), page = new Page("docs/migrating.md");
  const members = new Set([...names.values()].flatMap((of) => [...of]));
  const cells = [...page.prose.matchAll(/^\| .*? \| (.*?) \| .* \|$/gm)].map((match) => match[1]!);
  let checked = 0;
  for (const [, span] of cells.join("\n").matchAll(/`([^`]+)`/g)) {
    // Arguments and literals are the reader's own.
    const code = span!.replaceAll(/\(.*?\)+|\{.*\}|"[^"]*"/g, "").trim();
    if (/^(isthmus|deno|for) /.test(code) || code === "") continue;
    for (const word of code.split(/\s+/).filter((word) => !NOT_NAMES.test(word))) {
      const [first, second] = word.replace(/^(guard|child)\./, ".").replace(/:$/, "").split(".") as [
        string,
        string | undefined,
      ];
      checked++;
      const where = `${page.path} names ${span}`;
      if (second === undefined) assert(names.has(first) || members.has(first) || isCode(first), where);
      else if (names.has(first) && names.get(first)!.size > 0) {
        assert(names.get(first)!.has(second) || members.has(second), where);
      } else assert(members.has(second), where);
    }
  }
  assert(checked > 100, `${checked} names found`);
});
