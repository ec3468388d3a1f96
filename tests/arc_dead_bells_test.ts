// The doorbells of those who waited for a cell and died are not kept open by those who rang them.
import { assert, assertEquals } from "@std/assert";
import { IpcArc } from "../arc/mod.ts";
import { arcTest, child } from "./support/arc_processes.ts";

arcTest("A holder keeps no doorbells of watchers that were killed", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = openFiles();
  for (let round = 1; round <= 12; round++) {
    await using other = child(
      async (io, { IpcArc }, cell) => {
        using arc = IpcArc.load<number>(cell);
        const values = arc.watch()[Symbol.asyncIterator]();
        const next = values.next();
        io.say("watching");
        io.say((await next).value);
        await io.hear(); // waits for nothing of the cell when it is killed: nobody rings it again
      },
      cell,
    );
    assertEquals(await other.hear(), "watching");
    arc.updateSync(() => round);
    assertEquals(await other.hear(), round);
    await other.kill();
  }
  assert(openFiles() - before <= 6, `${openFiles() - before} more descriptors`);
}, { processes: true });
