// Code on the pages is code that runs: by `deno test --doc`, as a program by the command that the page names, or as the part
// of an example that it is quoted from.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { allPages, Page, pageTest, read, ROOT, userPages } from "../support/pages.ts";
import { processTest } from "../support/test.ts";

/** Programs that pages show, the first word of whose command is known from there, and what they print. */
const PROGRAMS: readonly { page: string; program: string; prints: string }[] = [
  { page: "docs/guide.md", program: "parent.ts", prints: "42\n" },
  { page: "docs/guide.md", program: "count.ts", prints: "3\n" },
  { page: "README.md", program: "caller.ts", prints: "3\n" },
];

const LANGUAGES = new Set(["ts", "sh", "json", "text", "ini", "python", "c", "js", "toml", "yaml", "abnf"]);

const indented = (text: string) => text.trim().split("\n").map((line) => line.trim()).join("\n");

pageTest("Every block of code says its language", () => {
  for (const { page, line, language } of allPages().flatMap(({ blocks }) => blocks)) {
    assert(LANGUAGES.has(language), `${page}:${line} is a block of "${language}"`);
  }
});

pageTest("Every block of TypeScript that deno test --doc does not run is a program, or part of an example", () => {
  let checked = 0;
  for (const page of userPages()) {
    const programs = page.programs();
    for (const { line, language, flags, from, text } of page.blocks) {
      if (language !== "ts" || flags === "") continue;
      const where = `${page.path}:${line}`;
      assertEquals(flags, "ignore", where);
      checked++;
      if (from === undefined) {
        assert([...programs.values()].includes(text), `${where} is neither a program nor quoted from a file`);
      } else {
        assertStringIncludes(indented(read(from)), indented(text), `${where} is not what ${from} has`);
      }
    }
  }
  assert(checked > 5, `${checked} blocks found`);
});

pageTest("Every program on the pages is run by a test, or by one that is", () => {
  for (const page of userPages()) {
    const programs = page.programs();
    const run = PROGRAMS.filter((of) => of.page === page.path).map(({ program }) => program);
    const texts = run.map((name) => programs.get(name)!).join("\n");
    for (const name of programs.keys()) {
      assert(run.includes(name) || texts.includes(name), `${page.path} has ${name}, which no test runs`);
    }
  }
});

pageTest("Every block of JSON can be read", () => {
  for (const { language, text } of userPages().flatMap(({ blocks }) => blocks)) {
    if (language === "json") JSON.parse(text);
  }
});

/** Runs the command that a page gives for a program, in a folder of a user's that holds the programs of the page. */
async function run(page: Page, name: string, files: Map<string, string>) {
  const command = page.commands().find((words) => words.at(-1) === name);
  assert(command !== undefined, `${page.path} has no command for ${name}`);
  const config: { name: string; minimumDependencyAge: string } = JSON.parse(read("deno.json"));
  const folder = Deno.makeTempDirSync();
  try {
    for (const [path, text] of files) Deno.writeTextFileSync(`${folder}/${path}`, text);
    // In place of `deno add`, which would bring a published version.
    const links = [ROOT.pathname], imports = { [config.name]: `jsr:${config.name}@*` };
    // There is no lock file there either: nothing that was just published, which a registry may have in part only.
    const { minimumDependencyAge } = config;
    Deno.writeTextFileSync(`${folder}/deno.json`, JSON.stringify({ links, imports, minimumDependencyAge }));
    const [, subcommand, ...rest] = command;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [subcommand!, "--check", ...rest],
      cwd: folder,
      stdin: "null",
    }).output();
    return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

for (const { page: path, program, prints } of PROGRAMS) {
  processTest(
    `${program} of ${path} prints what it should, by the command and with the permissions of the page`,
    async () => {
      const page = new Page(path);
      const { code, out, err } = await run(page, program, page.programs());
      assertEquals({ code, out }, { code: 0, out: prints }, err);
    },
  );
}

processTest(
  "A child of the guide's first program that fails to start ends the parent's wait, which says so",
  async () => {
    const page = new Page("docs/guide.md");
    const { code, out, err } = await run(page, "parent.ts", page.programs().set("child.ts", 'throw new Error("no");'));
    assertEquals({ code, out }, { code: 1, out: "" }, err);
    assertStringIncludes(err, "The child has ended with code 1");
  },
);
