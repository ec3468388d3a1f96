// The `isthmus` command, run as a process.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { distance, nearest } from "../../../cli/program/nearest.ts";
import config from "../../../deno.json" with { type: "json" };
import { onTerminal } from "../../support/isthmus.ts";
import { processTest, test } from "../../support/test.ts";

const CLI = new URL("../../../cli/mod.ts", import.meta.url).pathname;
const ESCAPE = "\x1b";

interface Options {
  permissions?: string[];
  env?: Record<string, string>;
}

async function isthmus(args: string[], { permissions = ["--allow-ffi"], env = {} }: Options = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions, CLI, ...args],
    env,
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Runs a shell command with the program in it, which stands there as `isthmus`. */
async function shell(script: string, env: Record<string, string> = {}) {
  const program = `isthmus() { "${Deno.execPath()}" run --no-prompt --allow-ffi "${CLI}" "$@"; }`;
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", `${program}\n${script}`],
    env,
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

processTest("isthmus --version prints the version of the package", async () => {
  for (const flag of ["--version", "-V"]) {
    assertEquals(await isthmus([flag]), { code: 0, out: `isthmus ${config.version}\n`, err: "" });
  }
});

processTest("isthmus --help lists the commands and needs no permission", async () => {
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, out, err } = await isthmus(args, { permissions: [] });
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "Usage: isthmus COMMAND");
    assertStringIncludes(out, "doctor");
    assert(!out.includes("doctor-peer"), "internal commands are not shown");
  }
});

processTest("isthmus COMMAND --help shows flags and examples", async () => {
  for (const args of [["doctor", "--help"], ["doctor", "-h"], ["help", "doctor"]]) {
    const { code, out } = await isthmus(args, { permissions: [] });
    assertEquals(code, 0);
    for (const part of ["Usage: isthmus doctor", "--json", "Examples:"]) assertStringIncludes(out, part);
  }
});

processTest("isthmus --help fits into a narrow terminal", async () => {
  for (const args of ["--help", "show --help", "send --help"]) {
    const out = await onTerminal(60, `isthmus ${args}`, { NO_COLOR: "1" });
    if (out === undefined) return;
    const tooLong = out.split("\n").filter((line) => line.length > 60 && !line.startsWith("  isthmus "));
    assertEquals(tooLong, []);
  }
});

processTest("isthmus without a command shows the help as an error", async () => {
  const { code, out, err } = await isthmus([]);
  assertEquals([code, out], [2, ""]);
  assertStringIncludes(err, "Usage: isthmus COMMAND");
});

processTest("isthmus suggests what a mistyped command or flag was meant to be", async () => {
  const cases: [string[], string][] = [
    [["doctro"], 'Unknown command "doctro"; did you mean "doctor"?'],
    [["xyzzy"], 'Unknown command "xyzzy"\n'],
    [["doctor", "--jsn"], 'Unknown flag "--jsn" of "isthmus doctor"; did you mean "--json"?'],
    [["--versoin"], 'Unknown flag "--versoin"; did you mean "--version"?'],
    [["doctor", "patient"], '"isthmus doctor" got an unexpected argument "patient"'],
  ];
  for (const [args, complaint] of cases) {
    const { code, out, err } = await isthmus(args);
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, complaint);
  }
});

processTest("isthmus doctor finds this machine fit, also between two processes", async () => {
  const { code, out, err } = await isthmus(["doctor"], { permissions: ["--allow-ffi", "--allow-run"] });
  assertEquals([code, err], [0, ""], out);
  assertMatch(out, /^ok {4}atomics +two processes added 400,000 times, none was lost$/m);
  assert(!out.includes("fail"));
});

processTest("isthmus doctor needs nothing but --allow-ffi", async () => {
  const { code, out, err } = await isthmus(["doctor"]);
  assertEquals([code, err], [0, ""], out);
  assertMatch(out, /^ok {4}atomics +two mappings agree/m);
});

processTest("isthmus doctor without --allow-ffi fails and says what to do", async () => {
  const { code, out, err } = await isthmus(["doctor"], { permissions: [] });
  assertEquals([code, err], [1, ""]);
  assertMatch(out, /^fail +permission +no --allow-ffi\n +Run Deno with --allow-ffi$/m);
});

processTest("isthmus doctor --json prints one document", async () => {
  const good = await isthmus(["doctor", "--json"]);
  assertEquals(good.code, 0);
  const report = JSON.parse(good.out);
  assertEquals([report.version, report.ok], [config.version, true]);
  for (const check of report.checks) assert(["ok", "warn"].includes(check.status), Deno.inspect(check));

  const bad = await isthmus(["doctor", "--json"], { permissions: [] });
  assertEquals(bad.code, 1);
  assertEquals(JSON.parse(bad.out).ok, false);
});

processTest("isthmus doctor warns of a low limit of descriptors", async () => {
  const { code, out } = await shell("ulimit -n 128; isthmus doctor");
  assertEquals(code, 0);
  assertMatch(out, /^warn {2}descriptors +\d+ of 128 in use\n +A channel takes four/m);
});

processTest("isthmus survives that its output is closed", async () => {
  const { code, out, err } = await shell(
    "set -o pipefail; isthmus doctor | head -n 1; isthmus --help | true; isthmus ls | true",
  );
  assertEquals([code, err], [0, ""]);
  assertEquals(out.split("\n").length, 2);
});

processTest("isthmus says so without a stack when its output cannot be written", async () => {
  const { code, err } = await shell("isthmus --help > /dev/full");
  assertEquals(code, 1);
  assertMatch(err, /^isthmus: .*No space left on device.*\n$/);
});

processTest("isthmus uses colours on a terminal alone, and never under NO_COLOR", async () => {
  assert(!(await shell("isthmus doctor", { NO_COLOR: "" })).out.includes(ESCAPE));
  if ((await shell("command -v script")).code !== 0) {
    return console.log('Not tried on a terminal, as there is no program "script" here');
  }
  const onTerminal = `script -qec '"${Deno.execPath()}" run --no-prompt --allow-ffi "${CLI}" doctor' /dev/null`;
  assertStringIncludes((await shell(onTerminal, { NO_COLOR: "" })).out, `${ESCAPE}[32mok`);
  assert(!(await shell(onTerminal, { NO_COLOR: "1" })).out.includes(ESCAPE));
});

test("nearest() finds the word that was meant", () => {
  assertEquals(nearest("shwo", ["ls", "show", "set"]), "show");
  assertEquals(nearest("st", ["ls", "show", "set"]), "set");
  assertEquals(nearest("banana", ["ls", "show", "set"]), undefined);
  assertEquals(distance("doctor", "doctor"), 0);
  assertEquals(distance("", "abc"), 3);
  assertEquals(distance("ab", "ba"), 1);
});
