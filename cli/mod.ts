/**
 * The `isthmus` command: looks at what the library needs from the machine, and at what is in shared memory.
 *
 * ```sh
 * deno run --allow-ffi --allow-run jsr:@isthmus/ipc/cli doctor
 * deno install --global --allow-ffi --allow-run --name isthmus jsr:@isthmus/ipc/cli
 * ```
 *
 * It is also a function, for programs that want the command inside their own:
 *
 * ```ts
 * import { main } from "@isthmus/ipc/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["--version"]), 0);
 * ```
 *
 * @module
 */
import { run } from "./main.ts";

/**
 * Runs the command. It writes to the standard output and the standard error, and never exits the process.
 *
 * @param args The arguments, without the name of the program.
 * @returns The exit code: 0 if all went well, 1 if something failed, 2 if the arguments are wrong.
 *
 * @example Asking for the version
 * ```ts
 * import { main } from "@isthmus/ipc/cli";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await main(["--version"]), 0);
 * ```
 */
export function main(args: readonly string[]): Promise<number> {
  return run(args);
}

// Exits by itself: a read of the standard input that nobody waits for any more would keep the process alive.
if (import.meta.main) Deno.exit(await main(Deno.args));
