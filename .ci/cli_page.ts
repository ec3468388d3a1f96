// Writes what `isthmus --help` says, for each command, into docs/cli.md, below its mark.
//
//   deno run --allow-read --allow-write --allow-run .ci/cli_page.ts

const PAGE = new URL("../docs/cli.md", import.meta.url);
const CLI = new URL("../cli/mod.ts", import.meta.url).pathname;
const MARK = "<!-- help -->\n";

async function help(...command: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-ffi", CLI, ...command, "--help"],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot ask "isthmus ${command.join(" ")} --help"`);
  return new TextDecoder().decode(stdout).trimEnd();
}

/**
 * A page with what the commands say now.
 *
 * @param page The page as it is; all below the mark is replaced.
 */
export async function withHelp(page: string): Promise<string> {
  const overview = await help();
  const commands = [...overview.matchAll(/^ {2}([a-z]+)\b.* {2,}\S/gm)].map((match) => match[1]!);
  const sections = await Promise.all(commands.map(async (name) => [`isthmus ${name}`, await help(name)] as const));
  const text = [["isthmus", overview] as const, ...sections]
    .map(([name, said]) => `## ${name}\n\n\`\`\`text\n${said}\n\`\`\`\n`).join("\n");
  const at = page.indexOf(MARK);
  if (at < 0) throw new Error(`Cannot find "${MARK.trim()}" in docs/cli.md`);
  return `${page.slice(0, at + MARK.length)}\n${text}`;
}

if (import.meta.main) Deno.writeTextFileSync(PAGE, await withHelp(Deno.readTextFileSync(PAGE)));
