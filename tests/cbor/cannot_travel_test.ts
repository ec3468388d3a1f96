// What stands for something of this process is refused by the encoder, not sent as an empty object.
import { assert, assertEquals } from "@std/assert";
import {
  bytesChannel,
  channel,
  IpcArc,
  IpcOneShotServer,
  IpcReceiverSet,
  IpcRouter,
  IpcServer,
  u32,
  UnixSocket,
} from "../../mod.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { test } from "../support/test.ts";

test("Objects of this package that cannot be sent are refused, with what to send instead", () => {
  const [sender, receiver] = channel<unknown>();
  const [bytes, byteStrings] = bytesChannel();
  const name = `isthmus-test-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, 1, { layout: u32 });
  using guard = cell.acquireSync();
  using server = new IpcServer();
  using oneShot = new IpcOneShotServer();
  using set = new IpcReceiverSet();
  using router = new IpcRouter();
  const [socket, other] = UnixSocket.pair();
  using loan = bytes.reserveSync(10);
  bytes.sendSync(new Uint8Array(3000));
  sender.sendSync({ small: 1 });
  using small = receiver.borrowSync();
  const all = [cell, guard, cell.atomic, server, oneShot, set, router, socket, loan, small];
  for (const object of all) {
    const error = assertIpcErrorSync("Serialization", () => sender.sendSync({ list: [object] }));
    assert(/ at value\.list\[0\]: (send|load) /.test(error.message), error.message);
    assertIpcErrorSync("Serialization", () => IpcArc.create(`${name}-2`, { object }));
  }
  assertEquals(receiver.tryRecv(), { state: "empty" });
  for (const end of [sender, receiver, bytes, byteStrings, socket, other]) end.close();
});
