// Other processes for the tests of cells, and the check that nothing is left when a test ends.
import { assertEquals } from "@std/assert";
import type * as arc from "../../arc/mod.ts";
import type * as registry from "../../arc/inspect/mod.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import { fileStatus } from "../../ffi/file/file_status.ts";
import { libc } from "../../ffi/libc/libc.ts";
import type { ChildIo } from "./arc_child.ts";
import { Child } from "./processes.ts";

// Opened once, and for good: not a leak of the test that happens to be the first.
libc();

/** What a child's function finds as its second argument. */
export type Api = typeof arc & typeof registry;

/** Whether this test run may start processes. */
export const mayRun: boolean = Deno.permissions.querySync({ name: "run" }).state === "granted";
if (!mayRun) console.log("The tests of cells with other processes are ignored: they need --allow-all");

/**
 * Starts a process that runs a function.
 *
 * @param main The function. Its text is sent, so it sees nothing but its arguments.
 * @param args Further arguments, anything JSON can hold.
 */
export function child<A extends unknown[]>(
  main: (io: ChildIo, api: Api, ...args: A) => unknown,
  ...args: A
): Child {
  const script = new URL("./arc_child.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  return new Child(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--config", config, script, JSON.stringify({ source: main.toString(), args })],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn(),
  );
}

/** A name that no other test uses. */
export function freshName(): string {
  return `test-${crypto.randomUUID()}`;
}

/** The files of doorbells whose cell is gone. */
function orphanBells(): string[] {
  const names = listDirectory("/dev/shm");
  const cells = new Set(
    names.filter((name) => name.startsWith("isthmus.")).map((name) =>
      fileStatus(`/dev/shm/${name}`)?.inode.toString(16)
    ),
  );
  return names.filter((name) => name.startsWith("isthmus-bell.") && !cells.has(name.split(".")[1]));
}

/** A test of cells: with a fresh name, and a check that it leaves nothing in shared memory and no open descriptor. */
export function arcTest(
  name: string,
  test: (cell: string) => void | Promise<void>,
  options: { processes?: boolean; worker?: boolean } = {},
): void {
  Deno.test({
    name,
    ignore: (options.processes === true || options.worker === true) && !mayRun,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn() {
      const cell = freshName();
      const warm = () => listDirectory("/proc/self/fd").length;
      warm();
      const before = warm(), orphans = new Set(orphanBells()); // of others on this machine
      await test(cell);
      const left = listDirectory("/dev/shm").filter((file) => file.startsWith(`isthmus.${cell}`));
      assertEquals(left, [], "cells left in shared memory");
      assertEquals(orphanBells().filter((bell) => !orphans.has(bell)), [], "doorbells left in shared memory");
      if (options.worker) return; // starting one, Deno opens files of its own
      // The event loop closes the doorbell that it had adopted in its own time.
      for (let turn = 0; turn < 50 && warm() > before; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(warm() > before ? "more open descriptors" : "", "");
    },
  });
}

/** The code of an error, for comparisons. */
export function codeOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return (error as arc.IpcError).code ?? (error as Error).name;
  }
  return undefined;
}
