/**
 * Channels between processes, a shared cell with a process-shared lock, and a one-shot server to bootstrap them.
 *
 * ```ts
 * import { channel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<string>();
 * await sender.send("hello");
 * assertEquals(await receiver.recv(), "hello");
 * sender.close(), receiver.close();
 * ```
 *
 * @module
 */
export * from "./ffi/mod.ts";
export * from "./channel/mod.ts";
export * from "./arc/mod.ts";
