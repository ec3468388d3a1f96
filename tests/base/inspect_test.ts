// What endpoints, servers, cells and errors look like when they are printed.
import { inspect } from "node:util";
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  bytesChannel,
  channel,
  duplex,
  IpcArc,
  IpcError,
  IpcFd,
  IpcOneShotServer,
  IpcReceiver,
  IpcReceiverSet,
  IpcRouter,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
  u32,
  UnixSocket,
} from "../../mod.ts";
import { test } from "../support/test.ts";

/** Both ways to print, which must say the same. */
function printed(value: unknown): string {
  const text = Deno.inspect(value, { breakLength: Infinity, depth: 4 });
  assertEquals(inspect(value, { breakLength: Infinity, depth: 4 }).replaceAll("'", '"'), text);
  return text;
}

test("Endpoints print their name, state and backlog, and looking changes nothing", async () => {
  const [sender, receiver] = channel<string>();
  assertMatch(printed(sender), /^IpcSender \{ state: "open", backlog: 0 \}$/);
  assertMatch(printed(receiver), /^IpcReceiver \{ state: "open", backlog: 0 \}$/);
  sender.sendSync("x");
  assertMatch(printed(sender), /^IpcSender \{ state: "open", backlog: [1-9]\d* \}$/);
  assertMatch(printed(receiver), /^IpcReceiver \{ state: "open", backlog: [1-9]\d* \}$/);
  assertEquals(receiver.recvSync(), "x");
  const opaque = receiver.toOpaque();
  assertMatch(printed(opaque), /^OpaqueIpcReceiver \{ state: "open" \}$/);
  assertMatch(printed(receiver), /^IpcReceiver \{ state: "closed" \}$/);
  const [left, right] = duplex<string, string>();
  assertMatch(printed(left), /^IpcDuplex \{ state: "open", sender: IpcSender \{.*\}, receiver: IpcReceiver \{.*\} \}$/);
  const [bytes, byteReceiver] = bytesChannel();
  assertMatch(printed(bytes), /^IpcBytesSender \{/);
  assertMatch(printed(byteReceiver), /^IpcBytesReceiver \{/);
  const path = `/dev/shm/isthmus-test-${crypto.randomUUID()}`;
  const named = IpcReceiver.create<string>(path), to = IpcSender.open<string>(path);
  assert(printed(named).includes(`path: "${path}"`));
  assert(printed(to).includes(`path: "${path}"`));
  to.close();

  const set = new IpcReceiverSet(), router = new IpcRouter();
  const [member, inSet] = channel<number>();
  set.add(inSet);
  assertEquals(printed(set), 'IpcReceiverSet { state: "open", size: 1 }');
  assertEquals(printed(router), 'IpcRouter { state: "open", size: 0 }');
  const server = new IpcServer(), oneShot = new IpcOneShotServer();
  for (const each of [server, oneShot]) {
    assert(printed(each).includes(`{ name: "${each.name}", state: "open", backlog: 0 }`), printed(each));
  }
  const memory = IpcSharedMemory.filled(0, 10);
  assertEquals(printed(memory), 'IpcSharedMemory { state: "open", length: 10 }');
  const [a, b] = UnixSocket.pair();
  assertEquals(printed(a), `UnixSocket { type: "stream", fd: ${a.fd}, state: "open" }`);
  const fd = new IpcFd(b.takeFd());
  assertEquals(printed(fd), `IpcFd { fd: ${fd.fd}, state: "open" }`);
  const name = `isthmus-test-${crypto.randomUUID()}`;
  const cell = IpcArc.create(name, 0, { layout: u32 });
  const guard = cell.acquireSync();
  assertEquals(printed(cell), `IpcArc { name: "${name}", state: "open", locked: true, waiting: 0 }`);
  assertEquals(printed(guard), `IpcArcGuard { name: "${name}", state: "held", ownerDied: false }`);
  assertEquals(printed(cell.atomic), `AtomicCell { name: "${name}", state: "open" }`);
  guard.release();
  const all = [
    sender,
    opaque,
    left,
    right,
    bytes,
    byteReceiver,
    named,
    set,
    member,
    server,
    oneShot,
    memory,
    a,
    fd,
    cell,
  ];
  for (const each of all) {
    each.close();
    assertMatch(printed(each), /closed/);
  }
  assertMatch(printed(guard), /released/);
  await router.shutdown();
  for (const prototype of [IpcSender.prototype, IpcArc.prototype, IpcFd.prototype]) printed(prototype);
});

test("An IpcError prints nothing that it does not have", () => {
  const text = Deno.inspect(new IpcError("Timeout", "too late"));
  assert(text.includes('code: "Timeout"') && !text.includes("undefined"), text);
  const error = new IpcError("System", "no", { errno: 24, syscall: "open" });
  assertEquals([error.errno, error.syscall], [24, "open"]);
  assert(Deno.inspect(error).includes("errno: 24"));
  assertEquals(Object.keys(new IpcError("Timeout", "x")).sort(), ["code", "name"]);
});
