// The demo, run the way a newcomer runs it.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { processTest } from "../support/test.ts";

const HERE = new URL(".", import.meta.url).pathname;
const DEMO = new URL("../../examples/demo.ts", import.meta.url).pathname;

function demo(...args: string[]): Deno.Command {
  const permissions = ["--allow-ffi", "--allow-read", "--allow-env=INIT_CWD", `--allow-run=${Deno.execPath()}`];
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions, DEMO, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
}

async function runDemo(...args: string[]) {
  const { code, stdout, stderr } = await demo(...args).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Cells of the demo that are left in shared memory. */
function cellsLeft(): string[] {
  return [...Deno.readDirSync("/dev/shm")].map(({ name }) => name).filter((name) => name.includes("demo-"));
}

/** Whether a process exists. */
function exists(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

async function withFile(write: (path: string) => void, use: (path: string) => Promise<void>): Promise<void> {
  const path = Deno.makeTempFileSync();
  try {
    write(path);
    await use(path);
  } finally {
    Deno.removeSync(path);
  }
}

/** More than the demo can send before it is interrupted; takes no space on the disk. */
function writeHuge(path: string): void {
  Deno.truncateSync(path, 16 * 1024 ** 3);
}

/** Starts the demo, and interferes as soon as it reports progress. */
async function interruptDemo(path: string, interfere: (demo: Deno.ChildProcess, worker: number) => void) {
  const child = demo(path).spawn();
  const err = new Response(child.stderr).text();
  let out = "", worker = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    out += text;
    if (worker !== 0 || !out.includes("progress")) continue;
    worker = Number(/to process (\d+)/.exec(out)![1]);
    interfere(child, worker);
  }
  const { code } = await child.status;
  return { code, out, err: await err, worker };
}

processTest("demo sends a small file and both processes agree on its digest", async () => {
  await withFile((path) => Deno.writeTextFileSync(path, "hello, isthmus\n"), async (path) => {
    const { code, out, err } = await runDemo(path);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, /size {6}15 B \(15 bytes\)/);
    assertMatch(out, /messages {2}2,/);
    const digest = "ec4ccfae7d44362b78efd5bb6182604e7cdb44e53e2856bc417c384689e31e69"; // by coreutils
    assertEquals(out.match(new RegExp(`${digest} by process \\d+`, "g"))?.length, 2);
    assertStringIncludes(out, "The digests agree");
  });
  assertEquals(cellsLeft(), []);
});

processTest("demo sends an empty file", async () => {
  await withFile(() => {}, async (path) => {
    const { code, out } = await runDemo(path);
    assertEquals(code, 0);
    assertStringIncludes(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });
});

processTest("demo without an argument sends the Deno executable", async () => {
  const { code, out, err } = await runDemo();
  assertEquals([code, err], [0, ""]);
  assertStringIncludes(out, `Sending "${Deno.execPath()}"`);
  assertStringIncludes(out, `(${Deno.statSync(Deno.execPath()).size} bytes)`);
  assertStringIncludes(out, "The digests agree");
  assertEquals(cellsLeft(), []);
});

processTest("demo says so, exits with 1 and leaves nothing behind when the worker is killed midway", async () => {
  await withFile(writeHuge, async (path) => {
    const { code, err, worker } = await interruptDemo(path, (_, worker) => Deno.kill(worker, "SIGKILL"));
    assertEquals(code, 1, err);
    assertMatch(err, new RegExp(`^The worker, process ${worker}, was killed by SIGKILL after [0-9.]+ [MG]B\n$`));
    assertEquals(exists(worker), false);
  });
  assertEquals(cellsLeft(), []);
});

processTest("demo takes its worker along and leaves nothing behind when it is interrupted", async () => {
  await withFile(writeHuge, async (path) => {
    const { code, err, worker } = await interruptDemo(path, (child) => child.kill("SIGINT"));
    assertEquals([code, err], [130, "Interrupted\n"]);
    assertEquals(exists(worker), false);
  });
  assertEquals(cellsLeft(), []);
});

processTest("demo rejects what is not one readable file with exit code 2 and a reason", async () => {
  const cases: [string[], string][] = [
    [["/nowhere/to/be/found"], 'Cannot read "/nowhere/to/be/found": there is no such file'],
    [[HERE], `Cannot send "${HERE}": it is not a regular file`],
    [["/dev/zero"], 'Cannot send "/dev/zero": it is not a regular file'],
    [["one", "two"], "Cannot take 2 files"],
    [["--fast"], 'Unknown option "--fast"'],
  ];
  for (const [args, reason] of cases) {
    const { code, out, err } = await runDemo(...args);
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, reason);
  }
});
