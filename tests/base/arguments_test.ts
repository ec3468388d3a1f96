// Mistakes in the arguments of public functions: a TypeError at once, whatever the state, and nothing done.
// deno-lint-ignore-file no-explicit-any
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  AtomicCell,
  bytesChannel,
  channel,
  duplex,
  IpcArc,
  IpcArcGuard,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcDuplex,
  IpcFd,
  IpcOneShotServer,
  IpcReceiver,
  IpcReceiverSet,
  IpcRouter,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
  OpaqueIpcReceiver,
  OpaqueIpcSender,
  recvFds,
  recvFdsSync,
  sendFds,
  sendFdsSync,
  UnixSocket,
} from "../../mod.ts";
import { test } from "../support/test.ts";

const name = () => `isthmus-test-${crypto.randomUUID()}`;
const path = () => `/dev/shm/${name()}`;

/** What is no options object. */
const NO_OPTIONS: any[] = [5, "x", true, null, () => {}, [], Symbol("s"), 5n];
/** What is no time-out, and no signal. */
const NO_WAIT: any[] = [
  ...NO_OPTIONS,
  ...[NaN, -1, "5", null, {}, 5n, true, -Infinity].map((timeout) => ({ timeout })),
];
const NO_SIGNAL: any[] = [{ signal: {} }, { signal: 5 }, { signal: new AbortController() }, { signal: null }];

/** A TypeError with a message of ours, not "Cannot read properties of undefined". */
function assertOurs(error: unknown, what: string): void {
  assertInstanceOf(error, TypeError, what);
  assert(/^Cannot (?!read prop|destructure|mix|convert|use 'in')/.test(error.message), `${what}: ${error.message}`);
}

function refuses(what: string, call: () => unknown): void {
  assertOurs(assertThrows(call, TypeError, undefined, what), what);
}

async function rejects(what: string, call: () => Promise<unknown>): Promise<void> {
  assertOurs(await assertRejects(call, TypeError, undefined, what), what);
}

test("Wait options that are none are a TypeError for every waiting call, also where there is nothing to wait for", async () => {
  const [sender, receiver] = channel<any>();
  const [bytes, byteReceiver] = bytesChannel();
  const [left, right] = duplex<any, any>();
  const server = new IpcServer(), oneShot = new IpcOneShotServer(), set = new IpcReceiverSet();
  const [socket, other] = UnixSocket.pair(), listening = UnixSocket.listen(`@${name()}`);
  const cell = IpcArc.create(name(), 0);
  const [member, inSet] = channel<any>();
  set.add(inSet);

  for (const options of [...NO_WAIT, ...NO_SIGNAL]) {
    // So that every call has what it waits for.
    sender.sendSync(1), bytes.sendSync(new Uint8Array(1)), right.sendSync(1), member.sendSync(1);
    await rejects("send", () => sender.send(1, options));
    await rejects("sendWhenEmpty", () => sender.sendWhenEmpty(1, options));
    await rejects("recv", () => receiver.recv(options));
    await rejects("borrow", () => receiver.borrow(options));
    await rejects("bytes send", () => bytes.send(new Uint8Array(1), options));
    await rejects("reserve", () => bytes.reserve(1, options));
    await rejects("bytes recv", () => byteReceiver.recv(options));
    await rejects("recvInto", () => byteReceiver.recvInto(new Uint8Array(1), options));
    await rejects("duplex send", () => left.send(1, options));
    await rejects("duplex recv", () => left.recv(options));
    await rejects("select", () => set.select(options));
    await rejects("accept", () => server.accept(options));
    await rejects("one-shot accept", () => oneShot.accept(options));
    await rejects("socket accept", () => listening.accept(options));
    await rejects("acquire", () => cell.acquire(options));
    await rejects("update", () => cell.update((value) => value, options));
    assertEquals([receiver.tryRecv(), left.tryRecv()].map(({ state }) => state), ["message", "message"]);
    assertEquals([byteReceiver.recvMany().length, set.trySelect().length], [1, 1]);
  }
  for (const options of NO_WAIT) {
    sender.sendSync(1), bytes.sendSync(new Uint8Array(1)), right.sendSync(1), member.sendSync(1);
    refuses("sendSync", () => sender.sendSync(1, options));
    refuses("recvSync", () => receiver.recvSync(options));
    refuses("borrowSync", () => receiver.borrowSync(options));
    refuses("reserveSync", () => bytes.reserveSync(1, options));
    refuses("recvIntoSync", () => byteReceiver.recvIntoSync(new Uint8Array(1), options));
    refuses("duplex recvSync", () => left.recvSync(options));
    refuses("selectSync", () => set.selectSync(options));
    refuses("acceptSync", () => server.acceptSync(options));
    refuses("one-shot acceptSync", () => oneShot.acceptSync(options));
    refuses("socket acceptSync", () => listening.acceptSync(options));
    refuses("acquireSync", () => cell.acquireSync(options));
    refuses("updateSync", () => cell.updateSync((value) => value, options));
    assertEquals([receiver.tryRecv(), left.tryRecv()].map(({ state }) => state), ["message", "message"]);
    assertEquals([byteReceiver.recvMany().length, set.trySelect().length], [1, 1]);
  }
  for (const options of [...NO_SIGNAL, ...NO_OPTIONS]) {
    await rejects("run", () => left.run(() => {}, options));
    refuses("watch", () => cell.watch(options));
  }
  for (const end of [sender, receiver, bytes, byteReceiver, left, right, server, oneShot, set, socket, other]) {
    end.close();
  }
  listening.close(), cell.close(), member.close();
});

test("Options that are no object, and numbers that are none, are a TypeError wherever something is made", () => {
  const arc: any = IpcArc, unix: any = UnixSocket;
  for (const options of NO_OPTIONS) {
    refuses("channel", () => channel(options));
    refuses("bytesChannel", () => bytesChannel(options));
    refuses("duplex", () => duplex(options));
    refuses("IpcReceiver.create", () => IpcReceiver.create(path(), options));
    refuses("IpcBytesReceiver.create", () => IpcBytesReceiver.create(path(), options));
    refuses("IpcReceiver.remove", () => IpcReceiver.remove(path(), options));
    refuses("IpcServer", () => new IpcServer(options));
    refuses("IpcOneShotServer", () => new IpcOneShotServer(options));
    refuses("IpcServer.connect", () => IpcServer.connect("@nobody", options));
    refuses("IpcRouter", () => new IpcRouter(options));
    refuses("IpcArc.create", () => IpcArc.create(name(), 0, options));
    refuses("IpcArc.load", () => IpcArc.load(name(), options));
    refuses("IpcArc.createOrLoad", () => IpcArc.createOrLoad(name(), 0, options));
    refuses("UnixSocket.pair", () => UnixSocket.pair(options));
    refuses("UnixSocket.listen", () => UnixSocket.listen(`@${name()}`, options));
    refuses("UnixSocket.connect", () => UnixSocket.connect("@nobody", options));
  }
  for (const value of ["65536", true, {}, 5n] as any[]) {
    refuses("capacity", () => channel({ capacity: value }));
    refuses("capacity of a named channel", () => IpcReceiver.create(path(), { capacity: value }));
    assertThrows(() => IpcReceiver.create(path(), { mode: value }), RangeError, "the mode");
    refuses("capacity of a server", () => new IpcServer({ capacity: value }));
    refuses("capacity of a client", () => IpcServer.connect("@nobody", { capacity: value }));
    refuses("capacity of a cell", () => IpcArc.create(name(), 0, { capacity: value }));
    assertThrows(() => IpcArc.create(name(), 0, { mode: value }), RangeError, "the mode");
    refuses("type of a socket", () => UnixSocket.pair({ type: value }));
    refuses("backlog", () => UnixSocket.listen(`@${name()}`, { backlog: value }));
    refuses("length of memory", () => IpcSharedMemory.filled(0, value));
    refuses("allow", () => new IpcServer({ allow: value }));
    refuses("allow", () => new IpcOneShotServer({ allow: value }));
    refuses("onError", () => new IpcRouter({ onError: value }));
  }
  for (const value of [5, null, {}, undefined, Symbol("s"), "", "@"] as any[]) {
    if (value !== undefined) refuses("path of a server", () => new IpcServer({ path: value }));
    if (value !== undefined) refuses("path of a one-shot server", () => new IpcOneShotServer({ path: value }));
    refuses("IpcSender.connect", () => IpcSender.connect(value));
    refuses("IpcServer.connect", () => IpcServer.connect(value));
    refuses("IpcSender.open", () => IpcSender.open(value));
    refuses("IpcBytesSender.open", () => IpcBytesSender.open(value));
    refuses("IpcReceiver.create", () => IpcReceiver.create(value));
    refuses("IpcReceiver.remove", () => IpcReceiver.remove(value));
    refuses("UnixSocket.listen", () => unix.listen(value));
    if (value !== "@") refuses("IpcArc.load", () => arc.load(value));
  }
  for (const capacity of [NaN, -1, 0, 0.5, Infinity]) assertThrows(() => channel({ capacity }), RangeError, "capacity");
});

test("Objects that only the package makes cannot be constructed, and the error says what to call", () => {
  const classes: any[] = [
    IpcSender,
    IpcBytesSender,
    IpcReceiver,
    IpcBytesReceiver,
    OpaqueIpcSender,
    OpaqueIpcReceiver,
    IpcDuplex,
    IpcArc,
    IpcArcGuard,
    AtomicCell,
    IpcSharedMemory,
    UnixSocket,
    IpcFd,
  ];
  for (const made of classes) {
    for (const from of [undefined, null, "5", {}, { handle: {} }, []]) {
      refuses(`new ${made.name}(${from})`, () => new made(from, from));
    }
  }
});

test("Arguments of the wrong type are a TypeError, and cost no message", async () => {
  const [sender, receiver] = channel<number>();
  const [bytes, byteReceiver] = bytesChannel();
  const [left, right] = duplex<number, number>();
  const set = new IpcReceiverSet(), router = new IpcRouter();
  const cell = IpcArc.create(name(), 0);
  const memory = IpcSharedMemory.filled(0, 1);
  const [here, there] = UnixSocket.pair();
  sender.sendSync(1), bytes.sendSync(new Uint8Array(1));
  const wrong: any = "5", none: any = undefined;
  refuses("recvMany", () => receiver.recvMany(wrong));
  for (const max of [NaN, -1, 0.5]) assertThrows(() => receiver.recvMany(max), RangeError);
  refuses("recvIntoSync", () => byteReceiver.recvIntoSync(none));
  await rejects("recvInto", () => byteReceiver.recvInto(none));
  refuses("tryReserve", () => bytes.tryReserve(wrong));
  refuses("reserveSync", () => bytes.reserveSync(wrong));
  await rejects("reserve", () => bytes.reserve(wrong));
  refuses("bytes sendSync", () => bytes.sendSync(none));
  refuses("set.add", () => set.add(none));
  refuses("set.add", () => set.add(sender as any));
  refuses("route", () => router.route(none, () => {}));
  refuses("route", () => router.route(receiver, none));
  await rejects("run", () => left.run(none));
  refuses("updateSync", () => cell.updateSync(none));
  await rejects("update", () => cell.update(none));
  refuses("equals", () => memory.equals(none));
  refuses("from", () => IpcSharedMemory.from(none));
  for (const socket of [none, 5, {}] as any[]) {
    await rejects("sendFds", () => sendFds(socket, new Uint8Array(1), []));
    await rejects("recvFds", () => recvFds(socket, 1));
    refuses("sendFdsSync", () => sendFdsSync(socket, new Uint8Array(1), []));
    refuses("recvFdsSync", () => recvFdsSync(socket, 1));
  }
  refuses("sendFdsSync", () => sendFdsSync(here, none, []));
  refuses("sendFdsSync", () => sendFdsSync(here, new Uint8Array(1), none));
  refuses("sendFdsSync", () => sendFdsSync(here, new Uint8Array(1), [none]));
  refuses("recvFdsSync", () => recvFdsSync(here, wrong));
  refuses("recvFdsSync", () => recvFdsSync(here, 1, wrong));
  assertEquals([receiver.recvSync(), byteReceiver.recvSync().length], [1, 1]);
  for (const end of [sender, receiver, bytes, byteReceiver, left, right, set, cell, memory, here, there]) end.close();
  await router.shutdown();
});
