// The examples in C: examples/log_source.c with examples/log_collector.ts, as processes, and what the documentation has.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { compile, compiler } from "../support/c_driver.ts";
import { lineReader } from "../support/line_reader.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

const LINE = /^\d{4}-\d\d-\d\dT[\d:.]+Z (\d+) (debug|info|warning): (.*)$/;

function collect(path: string) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-ffi", "examples/log_collector.ts", path],
    cwd: new URL("../../", import.meta.url),
    stdout: "piped",
  }).spawn();
  return { child, lines: lineReader(child.stdout) };
}

/** The next lines of all programs, until so many of them have ended. */
async function linesUntil(lines: AsyncIterator<string>, ends: number): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  while (ends > 0) {
    const { value, done } = await lines.next();
    assert(!done, "the collector has ended");
    const match = LINE.exec(value);
    assert(match !== null, value);
    const [, pid, , text] = match;
    found.set(pid!, [...found.get(pid!) ?? [], text!]);
    if (text === "has ended") ends--;
  }
  return found;
}

const name = "Programs in C log to a collector in Deno, which may be killed and started again";
if (compiler === undefined) Deno.test({ name, ignore: true, fn() {} });
else {
  test(name, async () => {
    const path = `/dev/shm/isthmus-log-${crypto.randomUUID()}`;
    const source = (steps: number) => new Deno.Command(compile("examples/log_source.c"), { args: [path, `${steps}`] });
    const steps = (n: number) => [
      `begins, with ${n} steps`,
      ...Array.from({ length: n }, (_, i) => `step ${i}`),
      "has ended",
    ];
    // Logged before there is a collector.
    assertEquals(source(150).outputSync().code, 0);
    const first = collect(path);
    assertEquals([...(await linesUntil(first.lines, 1)).values()], [steps(150)]);
    const sources = [source(300).spawn(), source(300).spawn()];
    assertEquals([...(await linesUntil(first.lines, 2)).values()], [steps(300), steps(300)]);
    for (const { status } of sources) assertEquals((await status).code, 0);
    first.child.kill("SIGKILL");
    await first.lines.return?.(undefined);
    await first.child.status;

    assertEquals(source(5).outputSync().code, 0);
    const second = collect(path);
    assertEquals([...(await linesUntil(second.lines, 1)).values()], [steps(5)]);
    second.child.kill("SIGTERM");
    await second.lines.return?.(undefined);
    const late = setTimeout(() => second.child.kill("SIGKILL"), patience(30_000));
    assertEquals((await second.child.status).code, 0);
    clearTimeout(late);
    const left = [...Deno.readDirSync("/dev/shm")].map(({ name }) => name).filter((name) => path.endsWith(name));
    assertEquals(left, [], "the last one that leaves an empty channel removes it");
  });
  test("The C program that logs says what it cannot open", () => {
    const { code, stderr } = new Deno.Command(compile("examples/log_source.c"), { args: ["/nowhere/log"] })
      .outputSync();
    assertEquals(code, 1);
    assertMatch(new TextDecoder().decode(stderr), /^Cannot create the channel "\/nowhere\/log"/);
  });
  test("C code in the documentation compiles", () => {
    const page = Deno.readTextFileSync(new URL("../../docs/other-languages.md", import.meta.url));
    const blocks = [...page.matchAll(/^```c\n(.*?)^```$/gms)].map(([, code]) => code!.split("\n"));
    assert(blocks.length > 0);
    for (const lines of blocks) {
      const outside = lines.filter((line) => line.startsWith("#")),
        inside = lines.filter((line) => !line.startsWith("#"));
      const program = [...outside, "int main(void) {", ...inside, "return 0;", "}"].join("\n");
      const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
      try {
        Deno.writeTextFileSync(`${folder}/program.c`, program);
        const { success, stderr } = new Deno.Command(compiler!, {
          args: ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Iclients/c", `${folder}/program.c`],
          cwd: new URL("../../", import.meta.url),
        }).outputSync();
        assert(success, new TextDecoder().decode(stderr));
      } finally {
        Deno.removeSync(folder, { recursive: true });
      }
    }
  });
}
