// What README.md says is there, is there: its programs with a name run as they are written, and the files, tasks, flags and names
// that it mentions exist. Its other programs are run by `deno test --doc`.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isthmus } from "../support/isthmus.ts";
import { processTest } from "../support/test.ts";

const ROOT = new URL("../../", import.meta.url);
const mayRead = Deno.permissions.querySync({ name: "read", path: ROOT }).state === "granted";

/** A test that looks at files only. */
function test(name: string, body: () => void): void {
  Deno.test({ name, ignore: !mayRead, fn: body });
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const README = mayRead ? read("README.md") : "";
const BLOCKS = [...README.matchAll(/^```(\w+)[^\n]*\n(.*?)^```$/gms)].map((match) => ({
  language: match[1]!,
  text: match[2]!,
}));
/** Without its blocks of code. */
const PROSE = README.replaceAll(/^```.*?^```$/gms, "");
/** What the prose has in backquotes. */
const SPANS = [...PROSE.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
/** Every command, in a block for the shell or in the prose, as words. */
const COMMANDS = [
  ...BLOCKS.filter(({ language }) => language === "sh").flatMap(({ text }) => text.split("\n"))
    .map((line) => line.replace(/\s#.*$/, "").replace(/^.*\| /, "")),
  ...SPANS,
].map((text) => text.replace(/^npx -y /, "").trim().split(/\s+/)).filter(([program]) =>
  program === "deno" || program === "isthmus"
);
const config: {
  name: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  tasks: Record<string, { command: string }>;
  minimumDependencyAge: string;
} = mayRead ? JSON.parse(read("deno.json")) : {};

// --- The programs ----------------------------------------------------------------------------------------------------

/** The programs that begin with a comment that is their name. */
function programs(): Map<string, string> {
  const found = BLOCKS.map(({ text }) => [/^\/\/ (\w+\.ts)\n/.exec(text)?.[1], text] as const);
  return new Map(found.filter((entry): entry is [string, string] => entry[0] !== undefined));
}

/** Runs the command that the prose gives for a program, in a folder of a user's that holds the programs. */
async function run(name: string, files: Map<string, string>): Promise<{ code: number; out: string; err: string }> {
  const command = COMMANDS.find((words) => words.at(-1) === name);
  assert(command !== undefined, `README.md has no command for ${name}`);
  const folder = Deno.makeTempDirSync();
  try {
    for (const [path, text] of files) Deno.writeTextFileSync(`${folder}/${path}`, text);
    // In place of `deno add`, which would bring a published version.
    const links = [ROOT.pathname], imports = { [config.name]: `jsr:${config.name}@*` };
    // There is no lock file there either: nothing that was just published, which a registry may have in part only.
    const { minimumDependencyAge } = config;
    Deno.writeTextFileSync(`${folder}/deno.json`, JSON.stringify({ links, imports, minimumDependencyAge }));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: command.slice(1),
      cwd: folder,
      stdin: "null",
    }).output();
    return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

processTest(
  "The first two programs of the page print 42, by the command and with the permissions that it names",
  async () => {
    const files = programs();
    assertEquals([...files.keys()], ["parent.ts", "child.ts", "calculator.ts", "caller.ts"]);
    assertStringIncludes(files.get("child.ts")!, "console.log", "it is the child that prints");
    const { code, out, err } = await run("parent.ts", files);
    assertEquals({ code, out }, { code: 0, out: "42\n" }, err);
  },
);

processTest("The program that starts another and calls it prints 3, by the command that the page names", async () => {
  const { code, out, err } = await run("caller.ts", programs());
  assertEquals({ code, out }, { code: 0, out: "3\n" }, err);
});

processTest("A child of the first program that fails to start ends the parent's wait, which says so", async () => {
  const files = programs().set("child.ts", 'throw new Error("not today");');
  const { code, out, err } = await run("parent.ts", files);
  assertEquals({ code, out }, { code: 1, out: "" }, err);
  assertStringIncludes(err, "The child has ended with code 1");
});

// --- Files, links and tasks ------------------------------------------------------------------------------------------

test("Every file that the page names exists", () => {
  const written = programs();
  const files = [...SPANS, ...COMMANDS.flat()].filter((word) =>
    /^[\w.-]+(\/[\w.-]+)*\.(ts|c|py|md|json|sh|pml)$/.test(word)
  );
  assert(files.length > 20);
  for (const file of new Set(files)) {
    assert(
      exists(file) || exists(`tests/${file}`) || written.has(file),
      `README.md names "${file}", which is neither in the repository nor in its tests/`,
    );
  }
});

test("Every link and picture of the page leads somewhere", () => {
  const headings = [...PROSE.matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
  );
  const targets = [...PROSE.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((to) =>
    !/^https?:/.test(to)
  );
  assert(targets.length > 3);
  for (const target of targets) {
    const [path, heading] = target.split("#") as [string, string | undefined];
    if (path !== "") assert(exists(path), `README.md links to "${path}", which does not exist`);
    else assert(headings.includes(heading!), `README.md links to "#${heading}", which is none of its headings`);
  }
  assert(targets.includes("docs/internals.md"));
});

test("Every task that the page names exists, and knows the flags that it is given", () => {
  const tasks = COMMANDS.filter(([program, sub]) => program === "deno" && sub === "task");
  assert(tasks.length > 8);
  for (const [, , name, ...given] of tasks) {
    const task = config.tasks[name!];
    assert(task !== undefined, `README.md names "deno task ${name}", which is not in deno.json`);
    const script = task.command.split(/\s+/).find((word) => word.endsWith(".ts"));
    for (const flag of given.filter((word) => word.startsWith("-"))) {
      assert(script !== undefined && knows(script, flag), `README.md gives ${flag} to "deno task ${name}"`);
    }
  }
});

/** Whether a program of the repository reads this flag. */
function knows(script: string, flag: string): boolean {
  return new RegExp(`["'\`]${flag.replace(/=.*/, "")}\\b|\\b${flag.replace(/^--|=.*/g, "")}:`).test(read(script));
}

// --- Commands and their flags ----------------------------------------------------------------------------------------

/** What a program says for `--help`, asked once. */
const helpTexts = new Map<string, string>();

async function denoHelp(sub: string): Promise<string> {
  const known = helpTexts.get(sub);
  if (known !== undefined) return known;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: [sub, "--help"], env: { NO_COLOR: "1" } })
    .output();
  const text = new TextDecoder().decode(stdout);
  helpTexts.set(sub, text);
  return text;
}

async function isthmusHelp(...command: string[]): Promise<string> {
  const key = ["isthmus", ...command].join(" ");
  const known = helpTexts.get(key);
  if (known !== undefined) return known;
  const { code, out, err } = await isthmus(...command, "--help");
  assertEquals(code, 0, `README.md names "${key}", which is no command: ${err}`);
  helpTexts.set(key, out);
  return out;
}

function hasFlag(help: string, flag: string): boolean {
  return new RegExp(`(^|[\\s,])${flag.replace(/=.*/, "")}(?![\\w-])`, "m").test(help);
}

/** Checks the words behind the program's own name. */
async function checkIsthmus(words: readonly string[]): Promise<void> {
  const [command, ...rest] = words;
  if (command === undefined || command.startsWith("-")) return;
  const help = await isthmusHelp(command);
  for (const flag of rest.filter((word) => word.startsWith("--"))) {
    assert(hasFlag(help, flag), `README.md gives ${flag} to "isthmus ${command}", which does not have it`);
  }
}

processTest("Every command that the page names runs a program that exists, with flags that it has", async () => {
  let checked = 0;
  for (const [program, ...words] of COMMANDS) {
    checked++;
    if (program === "isthmus") {
      await checkIsthmus(words);
      continue;
    }
    const [sub, ...rest] = words;
    if (sub === "task" || sub === undefined) continue;
    const at = rest.findIndex((word) => word.endsWith(".ts") || word.startsWith("jsr:"));
    assert(at >= 0, `README.md has "deno ${words.join(" ")}", which runs nothing`);
    const help = await denoHelp(sub);
    for (const flag of rest.slice(0, at).filter((word) => word.startsWith("-"))) {
      assert(hasFlag(help, flag), `README.md gives ${flag} to "deno ${sub}", which does not have it`);
    }
    const script = rest[at]!, given = rest.slice(at + 1);
    const isOwn = script.startsWith(`jsr:${config.name}`);
    if (script.startsWith("jsr:") && !isOwn) {
      assert(script.slice("jsr:".length) in config.imports, `README.md names ${script}, which its examples do not use`);
    } else if (isOwn) {
      const entry = script.slice(`jsr:${config.name}`.length);
      assert(`.${entry}` in config.exports, `README.md names ${script}, which is no entry point`);
      if (entry === "/cli") await checkIsthmus(given);
    } else if (script === "cli/mod.ts") {
      await checkIsthmus(given);
    } else {
      for (const flag of given.filter((word) => word.startsWith("-"))) {
        assert(knows(script, flag), `README.md gives ${flag} to ${script}, which does not read it`);
      }
    }
  }
  assert(checked > 30, `${checked} commands found`);
});

processTest(
  "The table of the command line has every command with its operands, and the flags that it names exist",
  async () => {
    const rows = [...PROSE.matchAll(/^\| `isthmus (\w+)([^`]*)`\s*\| (.*)\|$/gm)];
    const listed = [...(await isthmusHelp()).matchAll(/^ {2}([a-z]+) .*? {2,}/gm)].map((match) => match[1]!);
    assertEquals(rows.map((row) => row[1]!).filter((name, at, all) => all.indexOf(name) === at).sort(), listed.sort());
    for (const [, command, operands, text] of rows.filter((row) => !row[2]!.includes("--"))) {
      const help = await isthmusHelp(command!);
      assertStringIncludes(help, `Usage: isthmus ${command}${operands} [FLAGS]`.replaceAll("  ", " "));
      for (const [, flag] of text!.matchAll(/`(--[\w-]+)/g)) {
        assert(hasFlag(help, flag!), `README.md gives ${flag} to "isthmus ${command}", which does not have it`);
      }
    }
    // Flags alone, behind the table: of some command.
    const section = PROSE.slice(PROSE.indexOf("## The command line"), PROSE.indexOf("## Coming from Rust"));
    const helps = await Promise.all(listed.map((command) => isthmusHelp(command)));
    for (const [, flag] of section.matchAll(/`(--[\w-]+)[^`]*`/g)) {
      const isOfDeno = flag!.startsWith("--allow-");
      assert(isOfDeno || helps.some((help) => hasFlag(help, flag!)), `README.md names ${flag}, which no command has`);
    }
  },
);

// --- Names in code ---------------------------------------------------------------------------------------------------

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

/** Words of the tables for Rust that are no names of the package. */
const NOT_NAMES = /^(new|using|guard)$/;

processTest("Every name that the tables for users of Rust give is exported, or a member of what is", async () => {
  const names = await exported();
  const members = new Set([...names.values()].flatMap((of) => [...of]));
  const section = PROSE.slice(PROSE.indexOf("## Coming from Rust"), PROSE.indexOf("## Other languages"));
  const cells = [...section.matchAll(/^\| .*? \| (.*?) \| .* \|$/gm)].map((match) => match[1]!);
  let checked = 0;
  for (const [, span] of cells.join("\n").matchAll(/`([^`]+)`/g)) {
    // Arguments and literals are the reader's own.
    const code = span!.replaceAll(/\(.*\)|\{.*\}|"[^"]*"/g, "").trim();
    if (code.startsWith("isthmus ") || code.startsWith("for ") || code === "") continue;
    for (const word of code.split(/\s+/).filter((word) => !NOT_NAMES.test(word))) {
      const [first, second] = word.replace(/^guard\./, ".").replace(/:$/, "").split(".") as [
        string,
        string | undefined,
      ];
      checked++;
      if (second === undefined) {
        assert(names.has(first) || members.has(first) || isCode(first), `README.md names ${span}`);
      } else if (names.has(first)) assert(names.get(first)!.has(second), `README.md names ${span}`);
      else assert(members.has(second), `README.md names ${span}`);
    }
  }
  assert(checked > 60, `${checked} names found`);
});

/** Codes of errors stand beside the word `code` in the tables. */
function isCode(word: string): boolean {
  return [...read("base/error.ts").matchAll(/^ {2}\| "(\w+)"/gm)].some(([, code]) => code === word);
}
