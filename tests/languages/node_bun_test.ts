// Node.js and Bun use the package as the registry gives it to them: scenarios that run there, one process each.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { spawn } from "../../mod.ts";
import { Folder } from "../support/folder.ts";
import { JavaScriptPackage } from "../support/javascript_package.ts";
import { bun, type Found, node, oldNode } from "../support/javascript_runtimes.ts";
import { patience, START } from "../support/patience.ts";
import { lookingTest } from "../support/test.ts";

const HERE = "tests/languages/javascript";
const MAIN = `${HERE}/main.ts`;
const PROGRAM = ["main", "support", "alone", "processes", "workers"].map((name) => `${HERE}/${name}.ts`);

/** Scenarios by the names of their functions. */
const SCENARIOS = {
  channels: "sends and receives values, blocking and waiting",
  bytesInPlace: "lends and borrows bytes, sends large ones, and waits for several channels",
  travellers: "sends endpoints and memory inside messages",
  cells: "locks, reads, changes and watches cells",
  calls: "answers calls, with errors and streams",
  topics: "publishes, and subscribes where the runtime can read memory that it may not write",
  namedLocks: "takes locks by name",
  noThreads: "waits for a hundred channels without a thread for each",
  endsByItself: "ends with channels and cells open that nobody waits for",
  namedChannel: "receives what another process sends by a name",
  killedSender: "receives what a killed process had sent, and goes on with the next",
  killedReceiver: "learns while it waits for room that the receiver was killed",
  server: "serves clients in other processes, and learns of their deaths",
  sharedCell: "changes one cell from two processes",
  killedHolder: "gets the cell of a killed holder, with its last value",
  killedLock: "gets the lock of a killed holder",
  callsBetween: "calls functions of another process",
  spawns: "starts programs, talks with them, and ends them",
  workerEchoes: "has a Worker as a peer",
  workerBlocks: "has a Worker that blocks its thread",
  workerTerminated: "learns that a Worker was terminated while it waited",
};

const mayLook = (["ffi", "read", "write", "sys", "run", "env"] as const)
  .every((name) => Deno.permissions.querySync({ name }).state === "granted");

let built: JavaScriptPackage | undefined;

/** The package with the scenarios, made once; removed when the tests end. */
function packaged(): JavaScriptPackage {
  if (built === undefined) {
    const made = built = new JavaScriptPackage(PROGRAM);
    globalThis.addEventListener("unload", () => made[Symbol.dispose]());
  }
  return built;
}

interface Outcome {
  readonly out: string;
  readonly err: string;
  readonly how: number | string;
}

/** Runs a program, and kills it if it hangs. */
async function run(path: string, args: readonly string[]): Promise<Outcome> {
  const child = new Deno.Command(path, { args: [...args], stdout: "piped", stderr: "piped" }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), patience(90_000));
  const { stdout, stderr, code, signal } = await child.output();
  clearTimeout(timer);
  const text = (bytes: Uint8Array<ArrayBuffer>) => new TextDecoder().decode(bytes);
  return { out: text(stdout), err: text(stderr), how: signal ?? code };
}

/** A test with a runtime, ignored with a word if this machine has none. */
function runtimeTest(
  name: string,
  found: Found,
  body: (path: string, flags: readonly string[]) => Promise<void>,
): void {
  if ("missing" in found) {
    console.log(`Ignored: ${name}: ${found.missing}`);
    Deno.test({ name, ignore: true, fn() {} });
  } else {
    lookingTest(name, () => body(found.runtime.path, found.runtime.flags));
  }
}

const unpermitted: Found = { missing: "it needs --allow-all" };

for (const [name, found] of [["Node.js", node], ["Bun", bun]] as const) {
  const runtime = mayLook ? found() : unpermitted;
  for (const [scenario, words] of Object.entries(SCENARIOS)) {
    runtimeTest(`${name} ${words}`, runtime, async (path, flags) => {
      using folder = new Folder();
      const prefix = `isthmus-test-${crypto.randomUUID().slice(0, 8)}-`;
      const { out, err, how } = await run(path, [...flags, packaged().module(MAIN), scenario, folder.path, prefix]);
      assertEquals({ out, err, how }, { out: "ok\n", err: "", how: 0 });
    });
  }
}

for (const [name, found] of [["Node.js", node], ["Bun", bun]] as const) {
  runtimeTest(`Deno starts a program of ${name} by spawn()`, mayLook ? found() : unpermitted, async (path, flags) => {
    const args = [...flags, packaged().module(MAIN), "answersParent"];
    const child = await spawn<string, number>(path, { args, timeout: START });
    for (const text of ["", "a", "abc"]) {
      await child.send(text);
      assertEquals(await child.recv({ timeout: START }), text.length);
    }
    child.close();
    assertEquals((await child.status).code, 0);
  });
}

lookingTest(
  "No file of the package has syntax that an old Node.js refuses, before it could be told what it lacks",
  () => {
    // All files are read before the first one runs, and `using` is younger than what is supported otherwise.
    const found = packaged().files.filter((file) => /^\s*(?:await )?using \w/m.test(Deno.readTextFileSync(file)));
    assertEquals(found, []);
  },
);

runtimeTest(
  "A Node.js without node:ffi is told which version is needed",
  mayLook ? oldNode() : unpermitted,
  async (path) => {
    const program = `import { channel } from ${JSON.stringify(packaged().module("mod.ts"))}; channel()[0].trySend(1);`;
    const { err, how } = await run(path, ["--input-type=module", "-e", program]);
    assertEquals(how, 1);
    assertStringIncludes(err, "Unsupported");
    assertStringIncludes(err, "Node.js 26.1 or later is needed");
  },
);
