// Cells between processes in PID namespaces of their own, where every main process has the same number.
import { assertEquals } from "@std/assert";
import { IpcArc, u32 } from "../../../arc/mod.ts";
import { cellInfo } from "../../../arc/inspect/mod.ts";
import { soon } from "../../support/assert_ipc.ts";
import { containerTest } from "../../support/containers.ts";
import { patience } from "../../support/patience.ts";

/** The first process of its namespace, so number 1 there: Deno itself, with no program in between. */
const PLAIN = ["--pid", "--fork", "--kill-child"];

/** Runs a function of this module as number 1 of a PID namespace. */
function contained(name: string, args: readonly string[], namespaces = PLAIN): Deno.ChildProcess {
  const code = `import { ${name} } from ${JSON.stringify(import.meta.url)}; await ${name}(...${JSON.stringify(args)});`;
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  return new Deno.Command("unshare", {
    args: [...namespaces, Deno.execPath(), "eval", "--quiet", "--config", config, code],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

/** Adds 1 under the lock until the time is over, blocking and awaiting; prints how often. */
export async function contend(cell: string, milliseconds: string): Promise<void> {
  using arc = IpcArc.load<{ n: number }>(cell);
  if (Deno.pid !== 1) throw new Error(`This is process ${Deno.pid}, not 1`);
  let added = 0;
  for (const end = performance.now() + Number(milliseconds); performance.now() < end;) {
    for (let i = 0; i < 100; i++) {
      using guard = i % 10 === 0 ? await arc.acquire() : arc.acquireSync();
      guard.value.n++;
      added++;
    }
  }
  console.log(added);
}

/** Waits for the lock until it is killed. */
export function block(cell: string): void {
  using arc = IpcArc.load<number>(cell, { layout: u32 });
  console.log("waiting");
  arc.acquireSync();
}

/** Takes the lock, says so, and keeps it until it is killed. */
export async function keep(cell: string): Promise<void> {
  using arc = IpcArc.load<number>(cell, { layout: u32 });
  using guard = arc.acquireSync();
  console.log("locked");
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
  guard.release();
}

async function word(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).trim();
}

async function end(child: Deno.ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await child.status;
  await child.stdout.cancel();
}

containerTest(
  "Three processes of the same number in three PID namespaces add under one lock, and lose nothing",
  async () => {
    const cell = `test-${crypto.randomUUID()}`;
    using arc = IpcArc.create(cell, { n: 0 });
    const time = Deno.env.get("ISTHMUS_CONTENTION") ?? "3000";
    const children = [0, 1, 2].map(() => contained("contend", [cell, time]));
    const outputs = await Promise.all(children.map((child) => child.output()));
    assertEquals(outputs.map(({ code }) => code), [0, 0, 0]);
    const added = outputs.map(({ stdout }) => Number(new TextDecoder().decode(stdout)));
    assertEquals(arc.read().n, added.reduce((a, b) => a + b));
    assertEquals(Math.min(...added) > 0, true);
    assertEquals(arc.refCount, 1);
  },
  PLAIN,
);

containerTest("A waiter that is killed does not free the lock of a namesake in another PID namespace", async () => {
  const cell = `test-${crypto.randomUUID()}`;
  using arc = IpcArc.create(cell, 0, { layout: u32 });
  const holder = contained("keep", [cell]);
  assertEquals(await soon(word(holder)), "locked");
  // Which of the two is number 1 here must not be guessed.
  const info = cellInfo(cell)!;
  assertEquals([info.locked, info.lockedBy === undefined || info.lockedBy > 1], [true, true]);
  const waiter = contained("block", [cell]);
  assertEquals(await soon(word(waiter)), "waiting");
  for (let turn = 0; turn < 20; turn++) {
    assertEquals(arc.tryAcquire(), undefined);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await end(waiter);
  assertEquals(arc.tryAcquire(), undefined);
  await end(holder);
  using guard = await arc.acquire({ timeout: patience(10_000) });
  assertEquals(guard.ownerDied, true);
}, PLAIN);

containerTest("Who has the lock is named by its number out here, or not at all", async () => {
  const cell = `test-${crypto.randomUUID()}`;
  using _arc = IpcArc.create(cell, 0, { layout: u32 });
  const holder = contained("keep", [cell], [...PLAIN, "--mount-proc"]);
  assertEquals(await soon(word(holder)), "locked");
  const inside = Deno.readTextFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`).trim();
  assertEquals(cellInfo(cell)!.lockedBy, Number(inside));
  await end(holder);
}, PLAIN);
