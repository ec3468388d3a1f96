// Who has the bells of a cell when all are taken: the dead lose theirs, the living keep them.
import { assertEquals } from "@std/assert";
import { IpcArc } from "../../../arc/mod.ts";
import { BELL_COUNT, BELL_TABLE, BELL_WORDS, NAMESPACE } from "../../../arc/segment/header.ts";
import { ownThread } from "../../../ffi/process/liveness.ts";
import { arcTest, child } from "../../support/arc_processes.ts";

/** The words of a cell's file, and writing one. */
function wordsOf(cell: string) {
  const file = Deno.openSync(`/dev/shm/isthmus.${cell}`, { read: true, write: true });
  const word = new Int32Array(1), bytes = new Uint8Array(word.buffer);
  return {
    read(at: number): number {
      file.seekSync(at * 4, Deno.SeekMode.Start);
      file.readSync(bytes);
      return word[0]!;
    },
    write(at: number, value: number): void {
      word[0] = value;
      file.seekSync(at * 4, Deno.SeekMode.Start);
      file.writeSync(bytes);
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** How many bells this thread has while it waits for the lock, if each is another's before: its three words. */
async function bellsTaken(cell: string, owner: (namespace: number) => [number, number, number]): Promise<number> {
  using arc = IpcArc.create(cell, 0);
  using words = wordsOf(cell);
  const others = owner(words.read(NAMESPACE));
  for (let bell = 0; bell < BELL_COUNT; bell++) {
    others.forEach((value, i) => words.write(BELL_TABLE + bell * BELL_WORDS + i, value));
  }
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    using _guard = await arc.acquire();
    io.say("held");
    await io.hear();
  }, cell);
  await other.said();
  const waiting = arc.acquire();
  let own = 0;
  for (let bell = 0; bell < BELL_COUNT; bell++) {
    if (words.read(BELL_TABLE + bell * BELL_WORDS) === ownThread().tid) own++;
  }
  await other.tell("go on");
  (await waiting).release();
  return own;
}

async function deadProcess(): Promise<number> {
  const process = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
  await process.status;
  return process.pid;
}

arcTest("A bell of a thread that died is taken by the next one who waits", async (cell) => {
  const dead = await deadProcess();
  assertEquals(await bellsTaken(cell, (namespace) => [dead, 1, namespace]), 1);
}, { processes: true });

arcTest("A bell of a thread that died while it took it is taken as well", async (cell) => {
  const dead = await deadProcess();
  assertEquals(await bellsTaken(cell, (namespace) => [-dead, namespace, 0]), 1);
}, { processes: true });

arcTest("Bells of threads that cannot be seen are left to them, and the wait does without", async (cell) => {
  const dead = await deadProcess();
  assertEquals(await bellsTaken(cell, (namespace) => [dead, 1, namespace + 1]), 0);
}, { processes: true });
