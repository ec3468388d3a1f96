// What a rejected wait says: who waited, and for how long.
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  bytesChannel,
  channel,
  duplex,
  IpcArc,
  IpcError,
  IpcOneShotServer,
  IpcReceiverSet,
  IpcServer,
  UnixSocket,
} from "../../mod.ts";
import { test } from "../support/test.ts";

async function theCaller(wait: () => Promise<unknown>): Promise<unknown> {
  try {
    await wait();
  } catch (error) {
    return error;
  }
  throw new Error("The wait did not fail");
}

/** Starts a wait that has to wait, has it fail, and looks whether the error says who waited. */
async function assertSaysWhoWaited(wait: () => Promise<unknown>, fail: () => void): Promise<IpcError> {
  setTimeout(fail, 1);
  const error = await theCaller(wait);
  assertInstanceOf(error, IpcError);
  assertStringIncludes(error.stack!, `IpcError: ${error.message}`);
  assertStringIncludes(error.stack!, "at async theCaller");
  assertStringIncludes(error.stack!, "at async assertSaysWhoWaited");
  return error;
}

test("A wait that is rejected by the event loop carries the async stack of its caller", async () => {
  const nothing = () => {};
  const timeout = 3;
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  const [bytes, byteReceiver] = bytesChannel({ capacity: 65_536 });
  const [left, right] = duplex<number, number>();
  const cell = IpcArc.create(`isthmus-test-${crypto.randomUUID()}`, 0);
  const guard = cell.acquireSync();
  using server = new IpcServer();
  using oneShot = new IpcOneShotServer();
  using listening = UnixSocket.listen(`@isthmus-test-${crypto.randomUUID()}`);
  using set = new IpcReceiverSet();
  const [member, inSet] = channel<number>();
  set.add(inSet);
  await assertSaysWhoWaited(() => receiver.recv({ timeout }), nothing);
  await assertSaysWhoWaited(() => receiver.borrow({ timeout }), nothing);
  await assertSaysWhoWaited(() => byteReceiver.recvInto(new Uint8Array(1), { timeout }), nothing);
  await assertSaysWhoWaited(() => left.recv({ timeout }), nothing);
  await assertSaysWhoWaited(() => set.select({ timeout }), nothing);
  await assertSaysWhoWaited(() => server.accept({ timeout }), nothing);
  await assertSaysWhoWaited(() => oneShot.accept({ timeout }), nothing);
  await assertSaysWhoWaited(() => listening.accept({ timeout }), nothing);
  await assertSaysWhoWaited(() => cell.acquire({ timeout }), nothing);
  while (sender.trySend(0));
  while (bytes.trySend(new Uint8Array(1000)));
  await assertSaysWhoWaited(() => sender.send(0, { timeout }), nothing);
  await assertSaysWhoWaited(() => sender.sendWhenEmpty(0, { timeout }), nothing);
  await assertSaysWhoWaited(() => bytes.reserve(1000, { timeout }), nothing);
  // By other ways than the clock, too.
  const closed = await assertSaysWhoWaited(() => right.recv(), () => right.close());
  assertEquals(closed.code, "Closed");
  const disconnected = await assertSaysWhoWaited(() => sender.send(0), () => receiver.close());
  assertEquals(disconnected.code, "Disconnected");
  guard.release();
  for (const end of [sender, bytes, byteReceiver, left, cell, member]) end.close();
});

test("A signal's reason is passed on as it is, also if it is an IpcError", async () => {
  const [sender, receiver] = channel<number>();
  const reason = new IpcError("Timeout", "mine");
  const { stack } = reason;
  const stop = new AbortController();
  const failing = theCaller(() => receiver.recv({ signal: stop.signal }));
  stop.abort(reason);
  assert(await failing === reason);
  assertEquals(reason.stack, stack);
  sender.close(), receiver.close();
});

test("A time-out says how long was waited", async () => {
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  while (sender.trySend(0));
  const [other, empty] = channel<number>();
  using set = new IpcReceiverSet();
  const [member, inSet] = channel<number>();
  set.add(inSet);
  using server = new IpcServer();
  using oneShot = new IpcOneShotServer();
  const options = { timeout: 20 };
  const waits = [
    () => empty.recv(options),
    () => empty.recvSync(options),
    () => sender.send(0, options),
    () => sender.sendSync(0, options),
    () => set.select(options),
    () => set.selectSync(options),
    () => server.accept(options),
    () => server.acceptSync(options),
    () => oneShot.accept(options),
    () => oneShot.acceptSync(options),
  ];
  for (const wait of waits) {
    const error = await theCaller(async () => await wait()) as IpcError;
    assertEquals(error.code, "Timeout");
    assertStringIncludes(error.message, "timed out after 20 ms");
  }
  for (const end of [sender, receiver, other, empty, member]) end.close();
});
