// What programs can reach of the objects that they have: the methods that are documented, and nothing of the insides.
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as ipc from "../../mod.ts";
import { bytesChannel, channel, duplex, IpcError, IpcReceiverSet, IpcSharedMemory } from "../../mod.ts";
import { test } from "../support/test.ts";

const INSPECT = [Symbol.for("Deno.customInspect"), Symbol.for("nodejs.util.inspect.custom")];
const WELL_KNOWN: symbol[] = [Symbol.dispose, Symbol.asyncDispose, Symbol.asyncIterator, Symbol.toStringTag];

type Class = { prototype: object; new (...args: unknown[]): unknown };

const classes = Object.entries(ipc as unknown as Record<string, Class>)
  .filter(([name]) => name !== "IpcError" && /^(Opaque)?Ipc|^Encoded/.test(name));

test("Endpoints have no properties of their own, whatever they hold", () => {
  const [sender, receiver] = channel<unknown>(), [bytesSender, bytesReceiver] = bytesChannel();
  const [left, right] = duplex<unknown, unknown>();
  using memory = IpcSharedMemory.filled(0, 1);
  using set = new IpcReceiverSet();
  const [typedSender, typedReceiver] = channel<number>();
  const opaque = [typedSender.toOpaque(), typedReceiver.toOpaque()];
  const all = [sender, receiver, bytesSender, bytesReceiver, left, right, memory, set, ...opaque];
  for (const object of all) {
    assertEquals(Reflect.ownKeys(object).filter((key) => key !== "peer"), [], object.constructor.name);
  }
  for (const end of all) end.close();
});

test("What a prototype carries besides its methods is a mark, not a way in", () => {
  assert(classes.length > 12);
  for (const [name, { prototype }] of classes) {
    for (const key of Object.getOwnPropertySymbols(prototype)) {
      if (WELL_KNOWN.includes(key) || INSPECT.includes(key)) continue;
      const value = (prototype as Record<symbol, unknown>)[key];
      assert(value === true || typeof value === "string", `${name} has ${String(key)}`);
    }
    for (
      const inside of ["retyped", "watch", "ring", "port", "seat", "pack", "take", "lend", "encode", "load", "share"]
    ) {
      const isApi = (inside === "watch" && name === "IpcArc") ||
        (inside === "take" && ["IpcFd", "IpcSharedMemory"].includes(name)) ||
        (inside === "load" && name === "IpcArc");
      assert(isApi || !(inside in prototype), `${name}.${inside}`);
    }
  }
});

test("Endpoints cannot be constructed from anything that a program has, and say where they come from", () => {
  const [sender, receiver] = channel<number>();
  for (const [name, Endpoint] of classes.filter(([name]) => /(Sender|Receiver|SharedMemory)$/.test(name))) {
    for (const given of [undefined, null, {}, sender, receiver, new Uint8Array(1), { handle: {} }]) {
      const error = assertThrows(() => new Endpoint(given, given), TypeError);
      assert(/^Cannot (make|construct) /.test(error.message), `${name}: ${error.message}`);
    }
  }
  sender.close(), receiver.close();
});

test("An object that has only the prototype of an endpoint is refused, and the channel goes on", () => {
  const [sender, receiver] = channel<unknown>();
  for (const [name, { prototype }] of classes) {
    const error = assertThrows(() => sender.sendSync({ fake: Object.create(prototype) }), IpcError, undefined, name);
    assertEquals(error.code, "Serialization", name);
  }
  sender.sendSync("real");
  assertEquals(receiver.recvMany(), ["real"]);
  sender.close(), receiver.close();
});
