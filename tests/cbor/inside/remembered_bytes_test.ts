// Byte strings that come time after time at the same place: what is remembered of them must never be seen.
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { decodeCbor, encodeCbor } from "../../../cbor/mod.ts";
import { IpcError } from "../../../mod.ts";
import { test } from "../../support/test.ts";

/** Often enough for anything to be remembered. */
const OFTEN = 40;

function comesBack(value: unknown): unknown {
  const read = decodeCbor(encodeCbor(value).slice());
  assertEquals(read, structuredClone(value));
  return read;
}

function often(value: unknown): void {
  for (let i = 0; i < OFTEN; i++) comesBack(value);
}

test("Byte strings that are sent time after time arrive with what they hold then", () => {
  const value = { a: new Uint8Array(3), n: 1, b: new Uint8Array(30), c: new Uint8Array(0) };
  for (let i = 0; i < OFTEN; i++) {
    value.a.fill(i), value.b.fill(i + 1);
    value.n = i;
    comesBack(value);
  }
});

test("A byte string that was sent often arrives as one where it stands twice, and as two where there are two", () => {
  const [a, b, c] = [1, 2, 3].map((n) => new Uint8Array(4).fill(n)) as [Uint8Array, Uint8Array, Uint8Array];
  often([a, b, c]);
  for (const order of [[b, b, c], [a, b, c], [c, b, a], [a, a, a], [a, b, c], [c, c, c], [a, b, b], [b, a, b]]) {
    for (let i = 0; i < 3; i++) {
      const read = comesBack(order) as Uint8Array[];
      for (const [n, bytes] of order.entries()) assertStrictEquals(read[n], read[order.indexOf(bytes)]);
      assertEquals(new Set(read).size, new Set(order).size);
    }
    often([a, b, c]);
  }
  often({ x: { deep: a }, y: b });
  const { x, y } = comesBack({ x: { deep: b }, y: b }) as { x: { deep: Uint8Array }; y: Uint8Array };
  assertStrictEquals(x.deep, y);
});

test("A byte string that was sent often is refused once its memory is gone", () => {
  for (const length of [0, 5]) {
    const bytes = new Uint8Array(length), value = { before: new Uint8Array(2), bytes };
    often(value);
    bytes.buffer.transfer();
    assertThrows(() => structuredClone(value), DOMException);
    for (let i = 0; i < 3; i++) assertEquals(assertThrows(() => encodeCbor(value), IpcError).code, "Serialization");
    often({ before: value.before, bytes: new Uint8Array(length) });
  }
});

test("Memory that can change its size, and shared memory, is not taken for what came there often", () => {
  const often5 = new Uint8Array(5);
  const resizable = new Uint8Array(new ArrayBuffer(5, { maxByteLength: 10 }));
  const shared = new Uint8Array(new SharedArrayBuffer(5));
  for (let i = 0; i < OFTEN; i++) {
    comesBack([often5]);
    const read = decodeCbor(encodeCbor([resizable]).slice()) as Uint8Array[];
    assert((read[0]!.buffer as ArrayBuffer).resizable);
    assertThrows(() => encodeCbor([shared]), IpcError);
  }
});

test("A byte string that was sent often is another thing once its class has changed", () => {
  class Sub extends Uint8Array {}
  const bytes = new Uint8Array(4), expected = encodeCbor([bytes]).slice();
  often([bytes]);
  Object.setPrototypeOf(bytes, Sub.prototype);
  assertEquals(encodeCbor([bytes]), encodeCbor([new Sub(4)]).slice());
  Object.setPrototypeOf(bytes, Uint8Array.prototype);
  assertEquals(encodeCbor([bytes]), expected);
});

test("A getter that sends the byte strings of its own message disturbs neither message", () => {
  const a = new Uint8Array([1, 2]), b = new Uint8Array([3, 4, 5]);
  const inner = { b, a };
  const outer = {
    a,
    get inner() {
      return encodeCbor(inner).slice();
    },
    b,
  };
  for (let i = 0; i < OFTEN; i++) {
    a[0]!++, b[2]!++;
    const { inner: bytes, ...rest } = comesBack(outer) as {
      a: Uint8Array;
      inner: Uint8Array<ArrayBuffer>;
      b: Uint8Array;
    };
    assertEquals(rest, { a, b });
    assertEquals(decodeCbor(bytes.slice()), inner);
  }
});
