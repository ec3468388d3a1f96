// What structuredClone() refuses, and what cannot be done between processes, is refused with the path to it, and nothing is lost.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcArc, IpcSharedMemory } from "../../mod.ts";
import { arcTest } from "../support/arc_processes.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { allOthers, arrayWith, bytes, withProperties } from "../support/odd_values.ts";
import { test } from "../support/test.ts";
import { Ways } from "../support/ways.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

const T = (globalThis as Anything).Temporal;

/** What structuredClone() refuses, and what cannot be done between processes: how it is made. */
const REFUSED: Record<string, () => unknown> = {
  "a function": () => () => {},
  "a class": () => class {},
  "a symbol": () => Symbol("s"),
  "a boxed symbol": () => Object(Symbol.iterator),
  "a Promise": () => Promise.resolve(),
  "a WeakMap": () => new WeakMap(),
  "a WeakSet": () => new WeakSet(),
  "a WeakRef": () => new WeakRef({}),
  "a FinalizationRegistry": () => new FinalizationRegistry(() => {}),
  "a Proxy": () => new Proxy({}, {}),
  "a Proxy of an array": () => new Proxy([], {}),
  "a Proxy of a typed array": () => new Proxy(new Uint8Array(1), {}),
  "a revoked Proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "a generator": () => (function* () {})(),
  "an asynchronous generator": () => (async function* () {})(),
  "an iterator of an array": () => [1].values(),
  "an iterator of an array with a property": () => withProperties([1].values(), { more: 1 }),
  "an iterator of a map": () => new Map().entries(),
  "an iterator of a set": () => new Set().values(),
  "an iterator of text": () => "text"[Symbol.iterator](),
  "an iterator of matches": () => "text".matchAll(/t/g),
  "an iterator helper": () => [1].values().map((x) => x),
  "arguments": () =>
    (function (..._: unknown[]) {
      return arguments;
    })(1, 2),
  "a module": () => MODULE,
  "a detached buffer": () => {
    const buffer = new ArrayBuffer(8);
    buffer.transfer();
    return buffer;
  },
  "a view of a detached buffer": () => {
    const view = new Uint8Array(8);
    view.buffer.transfer();
    return view;
  },
  "shared memory of the language": () => new SharedArrayBuffer(8),
  "a view of shared memory": () => new Uint8Array(new SharedArrayBuffer(8)),
  "another view of shared memory": () => new Float64Array(new SharedArrayBuffer(8)),
  "a data view of shared memory": () => new DataView(new SharedArrayBuffer(8)),
  "a view beyond the end of its buffer": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 }), view = new Uint8Array(buffer, 8, 8);
    buffer.resize(4);
    return view;
  },
  "a data view beyond the end of its buffer": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 }), view = new DataView(buffer, 8, 8);
    buffer.resize(4);
    return view;
  },
  "a buffer that may grow much": () => new ArrayBuffer(0, { maxByteLength: 1 << 30 }),
  "a regular expression that is costly": () => /^\p{RGI_Emoji}$/v,
  "a regular expression that is long": () => new RegExp("a".repeat(100_000)),
  "Headers": () => new Headers({ a: "b" }),
  "Headers with a property": () => withProperties(new Headers(), { more: 1 }),
  "URLSearchParams": () => new URLSearchParams("a=b"),
  "FormData": () => new FormData(),
  "a URL": () => new URL("http://localhost/"),
  "a URLPattern": () => new URLPattern({ pathname: "/" }),
  "a Request": () => new Request("http://localhost/"),
  "a Response": () => new Response("x"),
  "a Blob": () => new Blob(["x"]),
  "a File": () => new File(["x"], "name"),
  "an AbortController": () => new AbortController(),
  "an AbortSignal": () => new AbortController().signal,
  "an Event": () => new Event("x"),
  "a CustomEvent": () => new CustomEvent("x", { detail: 1 }),
  "an EventTarget": () => new EventTarget(),
  "a TextEncoder": () => new TextEncoder(),
  "a ReadableStream": () => new ReadableStream(),
  "a WritableStream": () => new WritableStream(),
  "a TransformStream": () => new TransformStream(),
  "Intl.NumberFormat": () => new Intl.NumberFormat(),
  "Intl.DateTimeFormat": () => new Intl.DateTimeFormat(),
  "Intl.Collator": () => new Intl.Collator(),
  "Intl.Locale": () => new Intl.Locale("en"),
  "Intl.Segmenter": () => new Intl.Segmenter(),
  "segments of a text": () => new Intl.Segmenter("en").segment("text"),
  "Temporal.PlainDate": () => T.PlainDate.from("2020-01-01"),
  "Temporal.Instant": () => T.Instant.from("2020-01-01T00:00Z"),
  "Temporal.Duration": () => T.Duration.from("PT1S"),
  "Temporal.ZonedDateTime": () => T.Instant.from("2020-01-01T00:00Z").toZonedDateTimeISO("UTC"),
  "WebAssembly.Memory": () => new WebAssembly.Memory({ initial: 1 }),
  "WebAssembly.Module": () => new WebAssembly.Module(bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)),
  "WebAssembly.Global": () => new WebAssembly.Global({ value: "i32" }, 1),
  "a method": () => ({ toJSON: () => ({}) }),
  "an object that throws": () => ({
    get bad() {
      throw new Error("no");
    },
  }),
};
const MODULE = await import("../support/choices.ts");

arcTest(
  "What structuredClone() refuses is refused, with the path to it; nothing is sent, all stays usable",
  async (cell) => {
    using ways = new Ways(cell);
    const makers: [string, () => unknown][] = Object.entries(REFUSED);
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]);
    makers.push(["a CryptoKey", () => key]);
    for (const [what, make] of makers) {
      for (const way of ways) {
        try {
          const value = make();
          const places: [unknown, string][] = [
            [value, ""],
            [[0, value], "[1]"],
            [{ a: { "b c": value } }, '.a["b c"]'],
            [new Map([["k", [value]]]), ".entries()[0][1][0]"],
            [new Map([[value, 1]]), ".entries()[0][0]"],
            [new Set([1, value]), ".values()[1]"],
            [new Error("x", { cause: { value } }), ".cause.value"],
            [arrayWith(9, { 4: value }), "[4]"],
            [arrayWith(1, { 0: 1, name: value }), ".name"],
            [[...allOthers(), { value }], `[${allOthers().length}].value`],
          ];
          for (const [placed, path] of places) {
            const error = assertIpcErrorSync("Serialization", () => way.go(placed));
            assert(error.message.startsWith("Cannot encode "), error.message);
            if (what === "an object that throws") continue; // that it throws is known, and not where
            const within = what === "a method" ? ".toJSON" : "";
            assert(error.message.includes(` at value${path}${within}: `), `no path ${path} in: ${error.message}`);
          }
        } catch (error) {
          throw new Error(`${what} through ${way.name}`, { cause: error });
        }
      }
      ways.expectUntouched();
    }
  },
);

test("What is refused is so after plain objects with the same names, which are expected next", () => {
  const [sender, receiver] = channel<unknown>();
  for (const [what, make] of Object.entries(REFUSED)) {
    const value = make(), alike: Record<string, number> = {};
    for (const name of what === "a revoked Proxy" ? [] : Object.keys(Object(value))) alike[name] = 1;
    for (const [placed, plain] of [[value, alike], [[value], [alike]], [{ value }, { value: alike }]]) {
      for (let i = 0; i < 3; i++) {
        sender.sendSync(plain);
        receiver.recvSync({ timeout: 0 });
      }
      assertIpcErrorSync("Serialization", () => sender.sendSync(placed));
    }
  }
  assertEquals(receiver.backlog, 0);
  sender.close(), receiver.close();
});

test("An endpoint in a value that is refused stays the caller's, and can be sent afterwards", () => {
  const [sender, receiver] = channel<unknown>();
  const [inner, moved] = channel<string>();
  using memory = IpcSharedMemory.from(bytes(1, 2, 3));
  for (const refused of [() => {}, Symbol("s"), new Blob([]), new Headers()]) {
    assertIpcErrorSync("Serialization", () => sender.sendSync({ inner, moved, memory, refused }));
    assertEquals([inner.closed, moved.closed], [false, false]);
  }
  inner.sendSync("before");
  sender.sendSync([moved, memory]);
  assert(moved.closed);
  const [arrived, same] = receiver.recvSync({ timeout: 0 }) as [typeof moved, IpcSharedMemory];
  assertEquals(arrived.recvSync({ timeout: 0 }), "before");
  assert(memory.equals(same));
  arrived.close(), same.close(), inner.close(), sender.close(), receiver.close();
});

arcTest("Endpoints, memory and descriptors are refused in a cell, with the path", (cell) => {
  const [sender, receiver] = channel<unknown>();
  using arc = IpcArc.create<unknown>(cell, 1);
  using memory = IpcSharedMemory.from(bytes(1));
  for (const value of [sender, receiver, memory]) {
    const error = assertIpcErrorSync("Serialization", () => arc.updateSync(() => ({ a: [value] })));
    assert(error.message.includes("at value.a[0]:"), error.message);
    assertEquals(arc.read(), 1);
  }
  sender.close(), receiver.close();
});
