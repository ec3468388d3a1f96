// The doorbells of those who waited for a cell and died are not kept open by those who rang them.
import { assert } from "@std/assert";
import { IpcArc } from "../../arc/mod.ts";
import { arcTest, child } from "../support/arc_processes.ts";

arcTest("A holder keeps no doorbells of processes that were killed while they waited for the lock", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  const doorbells = () =>
    [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        return /\/dev\/shm\/.*bell/.test(Deno.readLinkSync(`/proc/self/fd/${name}`));
      } catch {
        return false;
      }
    }).length;
  let most = 0;
  for (let round = 1; round <= 12; round++) {
    await using other = child(
      async (io, { IpcArc }, cell) => {
        using arc = IpcArc.load<number>(cell);
        io.say("ready");
        for (let turn = 0;; turn++) {
          using guard = await arc.acquire();
          guard.value = -guard.value;
          if (turn === 3) io.say("rung");
        }
      },
      cell,
    );
    await other.said();
    let rung = false;
    const word = other.said().then(() => rung = true);
    while (!rung) {
      using _guard = await arc.acquire();
      await new Promise((resolve) => setTimeout(resolve, 2)); // the other waits meanwhile
    }
    await word;
    await other.kill();
    most = Math.max(most, doorbells());
  }
  assert(most >= 1 && most <= 6, `${most} doorbells are open`);
}, { processes: true });
