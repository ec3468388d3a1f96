// What JSR gives its points for (https://jsr.io/docs/scoring, and `generate_score` in jsr-io/jsr, api/src), looked at
// before a release instead of after it: one line a rule, with its points. Stricter where JSR is content with less.
//
//   deno run --allow-run --allow-read .ci/jsr_score.ts
//
// What each symbol's documentation says is for reference.ts to look at. Two rules are settings of the package on
// jsr.io, which only its owner can see: they are named, and not counted as met.

interface DocText {
  readonly doc?: string;
}

interface Declaration {
  readonly declarationKind: string;
  readonly jsDoc?: DocText;
  readonly def?: { readonly [members: string]: unknown };
}

interface DocModule {
  readonly module_doc?: DocText;
  readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[];
}

interface Configuration {
  readonly name: string;
  readonly exports: Record<string, string>;
  readonly description?: string;
  readonly license?: string;
}

/** Files of the package besides its code; everything else that is published must be a module of these folders. */
const FILES = ["README.md", "LICENSE", "CHANGELOG.md", "deno.json", "mod.ts"];
const FOLDERS = ["base", "cbor", "ffi", "channel", "arc", "cli"];

let points = 0, broken = 0;

function rule(points_: number, name: string, problems: readonly string[]): void {
  if (problems.length === 0) {
    points += points_;
    console.log(`ok     ${name} (${points_})`);
    return;
  }
  broken++;
  console.log(`BROKEN ${name} (${points_})`);
  for (const problem of problems) console.log(`         ${problem}`);
}

function deno(...args: string[]): { success: boolean; out: string; text: string } {
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  const out = decoder.decode(stdout);
  return { success, out, text: out + decoder.decode(stderr) };
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function hasText(doc: DocText | undefined): boolean {
  return doc?.doc !== undefined && doc.doc.trim() !== "";
}

const configuration: Configuration = JSON.parse(Deno.readTextFileSync("deno.json"));
const entryPoints = Object.values(configuration.exports);
const modules: Record<string, DocModule> = {};
for (const entryPoint of entryPoints) {
  // One at a time: of what an earlier entry point exports as well, a later one would only have a reference.
  const json = deno("doc", "--json", entryPoint);
  if (!json.success) {
    console.log(json.text);
    Deno.exit(1);
  }
  Object.assign(modules, JSON.parse(json.out).nodes);
}
const pathOf = (url: string) => url.slice(url.indexOf(Deno.cwd()) + Deno.cwd().length + 1);

// --- Documentation ---------------------------------------------------------------------------------------------------

const readme = read("README.md");
rule(2, "There is a readme", readme === undefined || readme.trim() === "" ? ["README.md is missing or empty"] : []);
rule(1, "The readme has an example", readme?.includes("```ts") ? [] : ["README.md has no block of code in TypeScript"]);
rule(
  1,
  "Every entry point has a module document",
  Object.entries(modules).filter(([, { module_doc }]) => !hasText(module_doc)).map(([url]) =>
    `${pathOf(url)} has no text with @module`
  ),
);

const undocumented: string[] = [];
for (const [url, { symbols }] of Object.entries(modules)) {
  for (const { name, declarations } of symbols) {
    const open = declarations.filter(({ declarationKind }) => declarationKind !== "private");
    // The implementation behind overloads has none, and is not shown.
    if (!open.some(({ jsDoc }) => hasText(jsDoc))) undocumented.push(`${pathOf(url)}: ${name} has no description`);
  }
}
rule(5, "Every symbol is described (JSR: 80 %)", undocumented);

const lint = deno("doc", "--lint", ...entryPoints);
rule(0, "deno doc --lint finds nothing (ours)", lint.success ? [] : lint.text.trim().split("\n").slice(0, 12));

// --- Best practices --------------------------------------------------------------------------------------------------

const dryRun = deno("publish", "--dry-run", "--allow-dirty");
rule(
  5,
  "No slow types, and it can be published",
  dryRun.success && !/slow types/i.test(dryRun.text.replace("Checking for slow types in the public API...", ""))
    ? []
    : dryRun.text.trim().split("\n").slice(0, 20),
);

const published = [...dryRun.text.matchAll(/^\s+file:\/\/(\S+) \(/gm)].map(([, path]) => pathOf(path!));
const surplus = published.filter((path) =>
  !FILES.includes(path) && !path.startsWith(".ci/std/cli/") &&
  !(FOLDERS.includes(path.split("/")[0]!) && /\.ts$/.test(path) && !/(_test|_bench|\.slow|\.test)\.ts$/.test(path))
);
const missing = [...FILES, ...entryPoints.map((path) => path.slice(2))].filter((path) => !published.includes(path));
rule(0, "What is published is the package and nothing else (ours)", [
  ...(published.length === 0 ? ["deno publish --dry-run lists no file"] : []),
  ...surplus.map((path) => `${path} would be published`),
  ...missing.map((path) => `${path} would not be published`),
]);

const workflow = read(".github/workflows/publish.yml") ?? "";
const publish = read(".ci/publish") ?? "";
rule(1, "It is published with provenance", [
  ...(/^\s*id-token:\s*write\s*$/m.test(workflow) ? [] : ['publish.yml has no permission "id-token: write"']),
  ...(/^\s*- run: \.ci\/publish\s*$/m.test(workflow) ? [] : ["publish.yml does not run .ci/publish"]),
  ...(/^deno publish\b/m.test(publish) ? [] : [".ci/publish does not run deno publish"]),
  ...(/--no-provenance|--token/.test(workflow + publish) ? ["a token, or --no-provenance, turns provenance off"] : []),
]);

// --- Discoverability and compatibility -------------------------------------------------------------------------------

// JSR reads neither from deno.json: https://jsr.io/docs/package-configuration.
rule(
  0,
  "There is a licence (ours)",
  configuration.license && read("LICENSE") ? [] : ["no license in deno.json, or no LICENSE"],
);
console.log("set    A description, in the settings of the package on jsr.io (1)");
console.log("set    One compatible runtime, and a second one, in the settings of the package on jsr.io (1 + 1)");

console.log(`${points} of 15 points that the repository decides, ${broken} rules broken`);
if (broken > 0) Deno.exit(1);
