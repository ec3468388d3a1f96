// Deno at the test vectors: what it says of each is what the index says.
import { assertEquals } from "@std/assert";
import {
  bytes,
  i64,
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcBytesSubscriber,
  IpcError,
  type Layout,
  struct,
  u32,
  u64,
  u8,
} from "../../mod.ts";
import { patience } from "../support/patience.ts";
import { lookingTest } from "../support/test.ts";
import { indexOf, vectors } from "./make.ts";
import { isForHere, placed } from "./placed.ts";
import { hex, messageText, pack, unpack, type Vector } from "./memory.ts";

const folder = new URL("./data/", import.meta.url);
/** Milliseconds: until what is due, and until "there is nothing" is believed. */
const LONG = patience(20_000), SHORT = 100;

// deno-lint-ignore no-explicit-any
const layouts: Record<string, Layout<any>> = {
  "[4]u8": bytes(4),
  "[5]u8": bytes(5),
  u32,
  i64,
  '{"a":u8,"b":u64}': struct({ a: u8, b: u64 }),
};

/** What is said of a ring or a topic: each look is one more thing. */
function* received(open: () => { recvSync(options: { timeout: number }): Uint8Array; close(): void }, says: string[]) {
  const end = open();
  yield "ok";
  try {
    for (let i = 1; i < says.length; i++) {
      try {
        yield messageText(end.recvSync({ timeout: says[i] === "empty" ? SHORT : LONG }));
      } catch (error) {
        if (!(error instanceof IpcError) || error.code !== "Timeout") throw error;
        yield "empty";
      }
    }
  } finally {
    end.close();
  }
}

function* sent(path: string) {
  using sender = IpcBytesSender.open(path);
  yield "ok";
  yield sender.trySend(new Uint8Array(1)) ? "sent" : "full";
}

/** The bytes of a value, as they lie in the cell. */
function bytesOf(layout: string | undefined, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return layout === undefined ? Uint8Array.of(0x40 + value.length, ...value) : value;
  const view = new DataView(new ArrayBuffer(16));
  if (typeof value === "number") return view.setUint32(0, value, true), new Uint8Array(view.buffer, 0, 4);
  if (typeof value === "bigint") return view.setBigInt64(0, value, true), new Uint8Array(view.buffer, 0, 8);
  const { a, b } = value as { a: number; b: bigint };
  view.setUint8(0, a);
  view.setBigUint64(8, b, true);
  return new Uint8Array(view.buffer);
}

function* loaded(name: string, layout: string | undefined) {
  using cell = IpcArc.load<unknown>(name, layout === undefined ? {} : { layout: layouts[layout]! });
  yield "ok";
  yield `value ${hex(bytesOf(layout, cell.read()))}`;
  using guard = cell.acquireSync({ timeout: LONG });
  yield guard.ownerDied ? "lock ownerDied" : "lock";
  yield `value ${hex(bytesOf(layout, guard.value))}`;
}

/** All that is said of a vector, up to the first error. */
function said({ kind, layout, says }: Vector, name: string, path: string): string[] {
  const found: string[] = [];
  const looks = {
    ring: () => received(() => IpcBytesReceiver.create(path), says),
    topic: () => received(() => IpcBytesSubscriber.open(path, { from: "oldest" }), says),
    sender: () => sent(path),
    cell: () => loaded(name, layout),
  };
  try {
    for (const what of looks[kind]()) found.push(what);
  } catch (error) {
    if (!(error instanceof IpcError)) throw error;
    found.push(`error ${error.code}`);
  }
  return found;
}

const made = vectors();

lookingTest("The test vectors are what the script makes: deno run -A tests/vectors/make.ts", () => {
  assertEquals(JSON.parse(Deno.readTextFileSync(new URL("index.json", folder))), JSON.parse(indexOf(made)));
  assertEquals([...Deno.readDirSync(folder)].length, made.length + 1);
  for (const [{ name }, memory] of made) {
    const stored = Deno.readFileSync(new URL(`${name}.bin`, folder));
    assertEquals(hex(stored), hex(pack(memory)), name);
    assertEquals(unpack(stored).length, memory.bytes.length);
  }
});

for (const kind of ["ring", "sender", "cell", "topic"]) {
  lookingTest(`Deno says of each ${kind} of the test vectors what is to be said`, () => {
    for (const [vector, memory] of made) {
      if (vector.kind !== kind || !isForHere(vector)) continue;
      placed(vector, memory, (name, path) => {
        assertEquals(said(vector, name, path), vector.says, `${vector.name}: ${vector.about}`);
      });
    }
  });
}
