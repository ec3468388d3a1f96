// Commands on the pages are commands that exist, with flags that they have.
import { assert, assertEquals } from "@std/assert";
import { withHelp } from "../../.ci/cli_page.ts";
import { isthmus } from "../support/isthmus.ts";
import { allPages, mayRead, Page, pageTest, read } from "../support/pages.ts";
import { processTest } from "../support/test.ts";

const config: {
  name: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  tasks: Record<string, { command: string }>;
} = mayRead ? JSON.parse(read("deno.json")) : {};

/** Every command of every page, with the page. */
function commands(): { page: string; words: string[] }[] {
  return allPages().flatMap((page) => page.commands().map((words) => ({ page: page.path, words })));
}

/** Whether a program of the repository reads this flag. */
function knows(script: string, flag: string): boolean {
  const name = flag.replace(/^--|=.*/g, "");
  return new RegExp(`["'\`](--)?${name}\\b|\\b${name}:`).test(read(script));
}

pageTest("Every task that a page names exists, and knows the flags that it is given", () => {
  const tasks = commands().filter(({ words: [program, sub] }) => program === "deno" && sub === "task");
  assert(tasks.length > 15, `${tasks.length} tasks found`);
  for (const { page, words: [, , name, ...given] } of tasks) {
    const task = config.tasks[name!];
    assert(task !== undefined, `${page} names "deno task ${name}", which is not in deno.json`);
    const script = task.command.split(/\s+/).find((word) => word.endsWith(".ts"));
    for (const flag of given.filter((word) => word.startsWith("-"))) {
      assert(script !== undefined && knows(script, flag), `${page} gives ${flag} to "deno task ${name}"`);
    }
  }
});

/** What a program says for `--help`, asked once. */
const helpTexts = new Map<string, Promise<string>>();

function helpOf(key: string, ask: () => Promise<string>): Promise<string> {
  const known = helpTexts.get(key) ?? ask();
  helpTexts.set(key, known);
  return known;
}

function denoHelp(sub: string): Promise<string> {
  return helpOf(`deno ${sub}`, async () => {
    const env = { NO_COLOR: "1" };
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: [sub, "--help"], env }).output();
    return new TextDecoder().decode(stdout);
  });
}

function isthmusHelp(command: string): Promise<string> {
  return helpOf(`isthmus ${command}`, async () => {
    const { code, out, err } = await isthmus(command, "--help");
    assertEquals(code, 0, `A page names "isthmus ${command}", which is no command: ${err}`);
    return out;
  });
}

function hasFlag(help: string, flag: string): boolean {
  return new RegExp(`(^|[\\s,])${flag.replace(/=.*/, "")}(?![\\w-])`, "m").test(help);
}

/** Checks the words behind the command's own name. */
async function checkIsthmus(page: string, [command, ...rest]: readonly string[]): Promise<void> {
  if (command === undefined || !/^[a-z]+$/.test(command)) return;
  const help = await isthmusHelp(command);
  for (const flag of rest.filter((word) => /^--\w/.test(word))) {
    assert(hasFlag(help, flag), `${page} gives ${flag} to "isthmus ${command}", which does not have it`);
  }
}

/** Checks what Deno is asked to do. */
async function checkDeno(page: string, [sub, ...rest]: readonly string[]): Promise<void> {
  if (sub === undefined || sub === "task" || sub.startsWith("-")) return;
  const at = rest.findIndex((word) => word.endsWith(".ts") || word.startsWith("jsr:") || word.startsWith("npm:"));
  const help = await denoHelp(sub);
  for (const flag of (at < 0 ? rest : rest.slice(0, at)).filter((word) => word.startsWith("-"))) {
    assert(hasFlag(help, flag), `${page} gives ${flag} to "deno ${sub}", which does not have it`);
  }
  const script = rest[at], given = rest.slice(at + 1);
  if (script === undefined) return;
  if (script.startsWith(`jsr:${config.name}`)) {
    const entry = script.slice(`jsr:${config.name}`.length);
    assert(`.${entry}` in config.exports, `${page} names ${script}, which is no entry point`);
    if (entry === "/cli") await checkIsthmus(page, given);
  } else if (script.startsWith("jsr:") || script.startsWith("npm:")) {
    assert(script.replace(/^\w+:/, "") in config.imports, `${page} names ${script}, which its examples do not use`);
  } else if (script === "cli/mod.ts") {
    await checkIsthmus(page, given);
  } else if (script.startsWith("examples/")) {
    for (const flag of given.filter((word) => word.startsWith("-"))) {
      assert(knows(script, flag), `${page} gives ${flag} to ${script}, which does not read it`);
    }
  }
}

processTest("Every command that a page names exists, with the flags that it is given", async () => {
  const all = commands();
  assert(all.length > 60, `${all.length} commands found`);
  for (const { page, words: [program, ...words] } of all) {
    await (program === "isthmus" ? checkIsthmus(page, words) : checkDeno(page, words));
  }
});

processTest("The page of the command line has what each command says of itself", async () => {
  const { text, path } = new Page("docs/cli.md");
  assertEquals(text, await withHelp(text), `${path} is old: run "deno run -A .ci/cli_page.ts"`);
});

processTest("Flags that the page of the command line names by themselves are those of some command", async () => {
  const page = new Page("docs/cli.md"), help = page.blocks.map(({ text }) => text).join("\n");
  await Promise.resolve();
  for (const flag of page.spans.flatMap((span) => /^(--[\w-]+)/.exec(span)?.[1] ?? [])) {
    assert(flag.startsWith("--allow-") || hasFlag(help, flag), `${page.path} names ${flag}, which no command has`);
  }
});
