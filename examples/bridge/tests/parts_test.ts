// The parts that need no server.
import { assertEquals, assertThrows } from "@std/assert";
import { headers } from "@nats-io/nats-core";
import { Codec } from "../codec.ts";
import { headOf, withId } from "../call/frame.ts";
import { headersOf, type Item, payloadOf, readFrame } from "../queue/frame.ts";
import { Queue } from "../queue/stream.ts";
import { StateFile } from "../state_file.ts";
import { checkSubject } from "../subject.ts";

const items: Item[] = [0, 3, 4].map((distance) => ({
  position: 2 ** 40 + distance,
  bytes: new Uint8Array(distance * 30).fill(distance),
}));

Deno.test("A frame is read as it was written", () => {
  const first = items[0]!.position, last = items[2]!.position;
  const set = headersOf("source-1", { first, last, previous: 7, count: 3 });
  const frame = readFrame(set, payloadOf(items));
  assertEquals(frame, { source: "source-1", first, last, previous: 7, items, elsewhere: undefined });
  const one = [{ position: 5, bytes: new Uint8Array([1, 2]) }];
  const alone = readFrame(headersOf("s", { first: 5, last: 5, previous: undefined, count: 1 }), payloadOf(one));
  assertEquals([alone.items, alone.previous], [one, undefined]);
  assertEquals(readFrame(undefined, new Uint8Array([9])).items[0]!.bytes, new Uint8Array([9]));
});

Deno.test("A frame that is something else is refused, whatever is wrong with it", () => {
  const first = items[0]!.position, last = items[2]!.position, payload = payloadOf(items);
  const good = { first, last, previous: 7, count: 3 };
  for (
    const bad of [{ first: 2 ** 53 }, { last: first - 1 }, { count: 2 }, { count: 4 }, { previous: first }, {
      last: last + 1,
    }]
  ) {
    assertThrows(() => readFrame(headersOf("s", { ...good, ...bad }), payload), Error);
  }
  for (let length = 0; length < payload.length; length++) {
    assertThrows(() => readFrame(headersOf("s", good), payload.slice(0, length)), Error);
  }
  for (let at = 0; at < 8; at++) {
    const changed = payload.slice();
    changed[at] = 0xff;
    assertThrows(() => readFrame(headersOf("s", good), changed), Error);
  }
  const set = headers();
  set.set("Isthmus-Source", "no name");
  assertThrows(() => readFrame(set, payload), Error, "no name");
});

Deno.test("A state file has the last whole value, wherever its writer was killed", () => {
  const path = Deno.makeTempFileSync({ prefix: "isthmus-bridge-" });
  try {
    {
      using file = new StateFile<{ n: number; text: string }>(path);
      assertEquals(file.found, undefined);
      for (let n = 1; n <= 5; n++) file.save({ n, text: "x".repeat(n * 1000) });
      assertThrows(() => new StateFile(path), Error, "another bridge has it open");
      assertThrows(() => file.save({ n: 6, text: "x".repeat(70_000) }), RangeError);
    }
    const whole = Deno.readFileSync(path);
    const read = () => {
      using file = new StateFile<{ n: number }>(path);
      return file.found?.n;
    };
    assertEquals(read(), 5);
    const torn = whole.slice();
    torn.fill(0x20, 65_536 + 4096, 65_536 + 5000); // the second half of the newest
    Deno.writeFileSync(path, torn);
    assertEquals(read(), 4);
    for (const length of [0, 3, 16, 4000, 65_536, 65_540]) {
      Deno.writeFileSync(path, whole.slice(0, length));
      assertEquals(read(), length < 65_536 ? undefined : 4);
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("The number of a call's frame is replaced, whatever its size", () => {
  using codec = new Codec();
  const ids = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
  for (const from of ids) {
    const bytes = codec.encode([5, from, 7, { value: new Date(3) }]), head = headOf(bytes)!;
    assertEquals([head.kind, head.id], [5, from]);
    for (const to of ids) assertEquals(codec.decode(withId(bytes, head, to)), [5, to, 7, { value: new Date(3) }]);
  }
  for (const other of ["text", [9, {}], [12, 1], { a: 1 }, 7]) assertEquals(headOf(codec.encode(other)), undefined);
});

Deno.test("Names are checked", () => {
  for (const name of ["", "a b", "a.b", "*", "x".repeat(65)]) {
    assertThrows(() => new Queue(name), Error, "name of a queue");
  }
  assertEquals(checkSubject("calls.math"), "calls.math");
  for (const subject of ["", "a..b", "a.*", "a.>", "$JS.API", "a b", ".a"]) {
    assertThrows(() => checkSubject(subject), Error);
  }
});
