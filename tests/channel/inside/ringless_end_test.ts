// Linux may tell the end of a socket before the packets that lie there.
import { assertEquals } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { libc } from "../../../ffi/libc/libc.ts";
import { ECONNRESET } from "../../../ffi/libc/platform.ts";
import { MSGHDR } from "../../../ffi/libc/structs.ts";
import { runtime } from "../../../ffi/runtime/mod.ts";
import type { Pointer } from "../../../ffi/runtime/runtime.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

/** What a system call returns; it is not made then. */
type Result = "end" | "reset" | "as it is";

/** Lets the next calls of one name return these, until it is disposed of. */
function returning(name: "recvmsg" | "recv", results: Result[]): Disposable {
  const opened = libc() as { c: Record<string, unknown>; errnoCell: Int32Array }, { c } = opened;
  const real = c[name] as (...args: unknown[]) => number;
  const instead = (...args: unknown[]) => {
    const result = results.shift() ?? "as it is";
    if (result === "as it is") return real(...args);
    if (name === "recvmsg") headerAt(args[1] as Pointer).fill(0, MSGHDR.msg_controllen, MSGHDR.msg_controllen + 8);
    if (result === "reset") opened.errnoCell[0] = ECONNRESET;
    return result === "end" ? 0 : -1;
  };
  opened.c = { ...c, [name]: instead };
  return { [Symbol.dispose]: () => void (opened.c = c) };
}

const headerAt = (address: Pointer) => new Uint8Array(runtime.memoryAt(address, MSGHDR.size));

/** The receiver of a sender that has travelled, sent a number and was closed. */
function answered(): IpcReceiver<number> {
  const [to, from] = channel<IpcSender<number>>(), [near, receiver] = channel<number>();
  to.sendSync(near);
  const far = from.recvSync();
  far.sendSync(42);
  for (const end of [near, far, to, from]) end.close();
  return receiver;
}

for (const results of [["end"], ["reset"], ["end", "reset"]] satisfies Result[][]) {
  test(`An answer is received though the socket says ${results.join(", then ")} first`, () => {
    using receiver = answered();
    {
      using _calls = returning("recvmsg", results);
      assertEquals(receiver.recvSync(), 42);
      assertEquals(results, []);
    }
    assertIpcErrorSync("Disconnected", () => receiver.recvSync());
  });
}

test("An answer is received once though its sender is closed with something unread meanwhile", () => {
  using receiver = answered();
  {
    using _calls = returning("recv", ["reset"]);
    assertEquals(receiver.recvSync(), 42);
  }
  assertIpcErrorSync("Disconnected", () => receiver.recvSync());
});
