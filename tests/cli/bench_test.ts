// `isthmus bench`, run as a process.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { isthmus, isthmusArguments } from "../support/isthmus.ts";
import { stateOf } from "../support/processes.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

interface Document {
  version: string;
  deno: string;
  figures: ({ what: string; of: string; way: string } & Record<string, number>)[];
}

function start(...args: string[]): Deno.ChildProcess {
  const [run, ...rest] = isthmusArguments(["bench", ...args]);
  return new Deno.Command(Deno.execPath(), {
    args: [run!, "--allow-run", ...rest],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcome(process: Deno.ChildProcess): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await process.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Kills a process if the test ends before it does. */
function killedAtTheEnd(process: Deno.ChildProcess): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      try {
        process.kill("SIGKILL");
      } catch {
        // it has ended
      }
      await process.status;
    },
  };
}

/** The second process, once it is there; `undefined` if the first has ended. */
async function peerOf(process: Deno.ChildProcess): Promise<number | undefined> {
  while (isRunning(process.pid)) {
    for (const task of tasksOf(process.pid)) {
      const child = childOf(task);
      if (child !== undefined) return child;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function tasksOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => `/proc/${pid}/task/${name}`);
  } catch {
    return []; // the process has ended
  }
}

function childOf(task: string): number | undefined {
  try {
    const [first] = Deno.readTextFileSync(`${task}/children`).split(" ").filter(Boolean);
    return first === undefined ? undefined : Number(first);
  } catch {
    return undefined; // the thread has ended since it was listed
  }
}

async function left(): Promise<string[]> {
  const names = () => [...Deno.readDirSync("/dev/shm")].map(({ name }) => name).filter((name) => /bench-/.test(name));
  let found = names();
  // What another run on this machine has goes when that ends.
  for (const end = performance.now() + patience(20_000); found.length > 0 && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = new Set(names());
    found = found.filter((name) => now.has(name));
  }
  return found;
}

processTest("isthmus bench --json tells of every measurement, and leaves nothing", async () => {
  const { code, out, err } = await outcome(start("--json"));
  assertEquals([code, err], [0, ""]);
  const { version, deno, figures }: Document = JSON.parse(out);
  assertEquals([version, deno], [config.version, Deno.version.deno]);
  const names = figures.map(({ what, of, way }) => `${what}, ${of}, ${way}`);
  assertEquals(new Set(names).size, names.length);
  for (const what of ["one way", "round trip"]) {
    for (const size of ["64 B", "4 KiB", "1 MiB", "object"]) {
      for (const way of ["sync", "async"]) assert(names.includes(`${what}, ${size}, ${way}`));
    }
  }
  for (const lock of ["free, sync", "free, async", "contended, sync"]) assert(names.includes(`lock, ${lock}`));
  for (const { what, of: _of, way: _way, ...rest } of figures) {
    const values = Object.values(rest);
    assert(values.length > 0 && values.every((value) => value > 0), Deno.inspect({ what, ...rest }));
  }
  assertEquals(await left(), []);
});

processTest("isthmus bench prints no bar into a pipe, and ends with its reader", async () => {
  const process = start();
  await using _process = killedAtTheEnd(process);
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (text.split("\n").length < 4) text += (await reader.read()).value ?? "";
  assertMatch(text, /^one way\n {2}sync {3}64 B +[\d.]+( [kM])?\/s +[\d.]+ µs each +[\d.]+ [kMG]?B\/s\n/);
  assert(!text.includes("\x1b") && !text.includes("\r"));
  await reader.cancel();
  const err = await new Response(process.stderr).text();
  assertEquals([(await process.status).code, err], [0, ""]);
  assertEquals(await left(), []);
});

processTest("isthmus bench without --allow-run says what it needs", async () => {
  const { code, out, err } = await isthmus("bench");
  assertEquals([code, out], [1, ""]);
  assertEquals(err, "isthmus: Cannot start a second process: run Deno with --allow-run\n");
});

processTest("isthmus bench fails when its second process is killed, and does not hang", async () => {
  for (const when of ["starting", "measuring"] as const) {
    // On a machine that stood still for a while it may have ended before it could be stopped.
    let killed = false;
    for (let i = 0; i < 10 && !killed; i++) killed = await failsWithoutPeer(when);
    assert(killed, `ten benches ended before they could be stopped while ${when}`);
  }
});

/** Whether the second process could be killed at that time; that everything is as it should be then. */
async function failsWithoutPeer(when: "starting" | "measuring"): Promise<boolean> {
  const process = start();
  await using _process = killedAtTheEnd(process);
  const peer = await peerOf(process);
  const reader = process.stdout.getReader();
  if (when === "measuring") await reader.read();
  // What is stopped neither ends, which would end its second process, nor takes note of that one's end: the number stays.
  const stopped = await stop(process), killed = stopped && peer !== undefined && isRunning(peer);
  if (killed) Deno.kill(peer, "SIGKILL");
  if (stopped) process.kill("SIGCONT");
  while (!(await reader.read()).done);
  const err = await new Response(process.stderr).text();
  const { code } = await process.status;
  if (!killed) return false;
  assertEquals(code, 1);
  assertStringIncludes(err, "isthmus: ");
  assert(!err.includes("    at "), `no stack: ${err}`);
  assertEquals(await left(), []);
  return true;
}

/** Stops a process; `false` if it has ended. */
async function stop(process: Deno.ChildProcess): Promise<boolean> {
  try {
    process.kill("SIGSTOP");
  } catch {
    return false;
  }
  for (;;) {
    const state = stateOrEnd(process.pid);
    if (state === "T" || state === "Z") return state === "T";
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function isRunning(pid: number): boolean {
  return stateOrEnd(pid) !== "Z";
}

/** What a process does; "Z" also if somebody has taken note of its end already. */
function stateOrEnd(pid: number): string {
  try {
    return stateOf(pid);
  } catch {
    return "Z";
  }
}
