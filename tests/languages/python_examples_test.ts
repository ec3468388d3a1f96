// The example in Python: examples/frame_histogram.py with examples/frame_histogram.ts, as processes, and what the
// documentation has.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { lineReader } from "../support/line_reader.ts";
import { test } from "../support/test.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGES = ["docs/other-languages.md", "clients/python/README.md"];

/** Why the tests cannot run; `undefined` if they can. */
function obstacle(): string | undefined {
  for (const name of ["run", "ffi", "read", "env"] as const) {
    if (Deno.permissions.querySync({ name }).state !== "granted") return `it needs --allow-${name}`;
  }
  try {
    const { success } = new Deno.Command("python3", { args: ["-c", "import cbor2, numpy"], stderr: "null" })
      .outputSync();
    return success ? undefined : 'Python has no "cbor2" or no "numpy"';
  } catch {
    return "there is no python3";
  }
}

const why = obstacle();
if (why !== undefined) console.log(`Ignored, as ${why}: the example in Python`);

/** Where Python finds the package, also that of a checkout. */
function environment(): Record<string, string> {
  const path = Deno.env.get("PYTHONPATH");
  return {
    NO_COLOR: "1",
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONPATH: `${ROOT.pathname}clients/python${path ? `:${path}` : ""}`,
  };
}

function example(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-ffi",
      "--allow-run=python3",
      "examples/frame_histogram.ts",
      ...args,
    ],
    cwd: ROOT,
    env: environment(),
    stdout: "piped",
    stderr: "inherit",
  });
}

const COUNTED = "30 frames, 9216000 pixels counted in Python";

if (why !== undefined) Deno.test({ name: "The example in Python", ignore: true, fn() {} });
else {
  test("A Python program that spawn() has started counts frames where they lie", async () => {
    const { code, stdout } = await example("30").output();
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    assertEquals(code, 0);
    assertEquals(lines.length, 3);
    assertMatch(lines[0]!, /^frame 1: █[▁-█]+/);
    assertEquals(lines[2], COUNTED);
  });
  test("The same by hand: the Python program is given the name of a server", async () => {
    const deno = example("30", "--by-hand").spawn();
    const lines = lineReader(deno.stdout);
    const command = /^python3 (.+) '(.+)'$/.exec((await lines.next()).value ?? "");
    assert(command !== null);
    const { code, stdout } = await new Deno.Command("python3", {
      args: [command[1]!, command[2]!],
      cwd: ROOT,
      env: environment(),
      stderr: "inherit",
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout).trim()], [0, COUNTED]);
    await lines.return?.(undefined);
    assertEquals((await deno.status).code, 0);
  });
  test("Python code in the documentation compiles", () => {
    for (const page of PAGES) {
      const blocks = [...Deno.readTextFileSync(new URL(page, ROOT)).matchAll(/^```python\n(.*?)^```$/gms)];
      assert(blocks.length > 0, page);
      for (const [, code] of blocks) {
        const { success, stderr } = new Deno.Command("python3", {
          args: ["-c", "import sys; compile(sys.argv[1], 'block', 'exec')", code!],
        }).outputSync();
        assert(success, `${page}: ${new TextDecoder().decode(stderr)}`);
      }
    }
  });
}
