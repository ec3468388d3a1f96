// Code of the program that runs while a value is written: getters, which may send, and close what they like; and what never runs.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcArc, IpcError, IpcFd } from "../../../mod.ts";
import { cString, libc } from "../../../ffi/libc/libc.ts";
import { MFD_CLOEXEC } from "../../../ffi/libc/platform.ts";
import { arcTest } from "../../support/arc_processes.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { filled, manyKeys, whereTo } from "../../support/odd_values.ts";
import { assertSame } from "../../support/same.ts";
import { test } from "../../support/test.ts";
import { Ways } from "../../support/ways.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

class Point {
  constructor(public x: number, public y: number) {}
  get length(): never {
    throw new Error("What is inherited is not asked for");
  }
}

arcTest("toJSON() is never called, and what is inherited is not asked for", (cell) => {
  using ways = new Ways(cell);
  let called = 0;
  class Inherits {
    own = 1;
    toJSON() {
      called++;
    }
    get asked() {
      return called++;
    }
    valueOf() {
      called++;
    }
    [Symbol.toPrimitive]() {
      called++;
    }
  }
  const date = new Date(5);
  date.toJSON = () => {
    called++;
    return "x";
  };
  for (const way of ways) {
    assertSame(way.go([new Inherits(), date, new Set()]), [{ own: 1 }, new Date(5), new Set()]);
    assertIpcErrorSync("Serialization", () => way.go({ toJSON: () => called++ }));
  }
  assertEquals(called, 0);
});

arcTest("Every getter runs once each time the value is written, wherever it stands", (cell) => {
  using ways = new Ways(cell);
  const names = [
    "a",
    "constructor",
    "then",
    "length",
    "name",
    "message",
    "toString",
    "size",
    "byteLength",
    "x".repeat(90),
  ];
  let calls: string[] = [];
  const getters = <T extends object>(object: T): T => {
    for (const name of names) {
      if (Object.hasOwn(object, name)) continue;
      Object.defineProperty(object, name, {
        get() {
          calls.push(name);
          return calls.length;
        },
        enumerable: true,
        configurable: true,
      });
    }
    return object;
  };
  const makers: [string, () => object][] = [
    ["an object", () => getters({})],
    ["an object without a prototype", () => getters(Object.create(null))],
    ["an object of a class", () => getters(new Point(1, 2))],
    ["an object that inherits from Error.prototype", () => getters(Object.create(Error.prototype))],
    ["an object that inherits from an object", () => getters(Object.create({ a() {} }))],
    ["an array", () => getters([1])],
    ["an array with holes", () => getters(new Array(3))],
  ];
  for (const [what, make] of makers) {
    for (const way of ways) {
      for (const around of [(value: object) => value, (value: object) => [new Map([[1, value]]), value]]) {
        calls = [];
        structuredClone(around(make()));
        const expected = calls;
        calls = [];
        way.go(around(make()));
        const all = Array.from({ length: way.written ?? 1 }, () => expected).flat();
        assertEquals(calls, way.written === undefined ? expected : all, `${what} through ${way.name}`);
      }
    }
  }
  // An element of an array.
  let runs = 0;
  const list: unknown[] = [1, 2];
  Object.defineProperty(list, 1, { get: () => ++runs, enumerable: true });
  for (const way of ways) {
    runs = 0;
    const last = way.written ?? 1;
    assertEquals(way.go([list, list]), [[1, last], [1, last]]);
    assertEquals(runs, last);
  }
});

arcTest("A getter may send, receive, and update a cell; nothing of that is mixed up", (cell) => {
  using ways = new Ways(cell);
  const [other, inbox] = channel<unknown>();
  using arc = IpcArc.create<unknown>(`${cell}-other`, 0);
  const inner = { long: filled(2000), map: new Map([["in", "ner"]]), text: "é".repeat(100), many: manyKeys(40) };
  for (const way of ways) {
    const shared = { n: 1 };
    const value = {
      first: filled(1500),
      shared,
      get sends() {
        other.sendSync(inner);
        assertIpcErrorSync("Serialization", () => other.sendSync({ no: [() => {}] }));
        return "sent";
      },
      ...manyKeys(30),
      list: [shared, {
        get updates() {
          arc.updateSync(() => inner);
          other.sendSync([arc.read(), shared, shared]);
          return [shared];
        },
      }],
      last: filled(1600),
      date: new Date(7),
    };
    const expected = structuredClone(value);
    assertEquals(inbox.recvMany().length, 2, "by structuredClone() itself");
    assertSame(way.go(value), expected);
    const [one, two] = inbox.recvMany() as [unknown, unknown];
    assertSame(one, inner);
    assertSame(two, [inner, { n: 1 }, { n: 1 }].map((v, i, all) => i === 2 ? all[1] : v));
  }
  other.close(), inbox.close();
});

test("A getter may send on the channel that its value is sent on: that message is first", () => {
  const [sender, receiver] = channel<unknown>();
  let deep = 0;
  const nested = (level: number): object => ({
    level,
    bytes: filled(1100),
    get inner() {
      if (level < 5) sender.sendSync(nested(level + 1));
      deep = Math.max(deep, level);
      return level;
    },
  });
  sender.sendSync(nested(0));
  for (let level = 5; level >= 0; level--) {
    assertEquals(receiver.recvSync({ timeout: 0 }), { level, bytes: filled(1100), inner: level });
  }
  assertEquals(deep, 5);
  sender.close(), receiver.close();
});

/** A descriptor of memory of this name. */
function named(name: string): IpcFd {
  return new IpcFd(libc().c.memfd_create(cString(name), MFD_CLOEXEC));
}

test("A getter that closes a descriptor of the same value: the one that stood there arrives, or an error", () => {
  const [sender, receiver] = channel<Anything>();
  const around: ((swapping: object, fd: IpcFd) => unknown)[] = [
    (swapping, fd) => ({ fd, swapping }),
    (swapping, fd) => [[fd], new Map([[1, { swapping }]]), new Date(0)],
    (swapping, fd) => ({ fds: [fd, fd], ...manyKeys(30), swapping }),
  ];
  for (const place of around) {
    for (const what of ["descriptor", "memory"]) {
      const fd = named("right");
      let second: IpcFd | undefined;
      const swapping = {
        get now() {
          const { fd: number } = fd;
          fd.close();
          second = named("wrong");
          assertEquals(second.fd, number, "it must get the same number, or this tests nothing");
          if (what === "memory") fd.close();
          return 1;
        },
      };
      try {
        sender.sendSync(place(swapping, fd));
        const arrived = fdsIn(receiver.recvSync({ timeout: 0 }));
        for (const each of arrived) {
          assertEquals(whereTo(each.fd), "/memfd:right (deleted)");
          each.close();
        }
      } catch (error) {
        assert(error instanceof IpcError, String(error));
        assertEquals(receiver.tryRecv(), { state: "empty" });
      }
      fd.close(), second?.close();
    }
  }
  sender.sendSync("still usable");
  assertEquals(receiver.recvSync({ timeout: 0 }), "still usable");
  sender.close(), receiver.close();
});

function fdsIn(value: Anything, found: Set<IpcFd> = new Set()): Set<IpcFd> {
  if (value instanceof IpcFd) found.add(value);
  else if (typeof value === "object" && value !== null) { for (const each of Object.values(value)) fdsIn(each, found); }
  return found;
}

test("A Proxy in a value runs none of its traps", () => {
  const [sender, receiver] = channel<Anything>();
  const fd = named("right");
  let trapped = 0;
  const traps = new Proxy({}, {
    get: (_, trap) => () => {
      trapped++;
      fd.close();
      throw new Error(String(trap));
    },
  });
  const error = assertIpcErrorSync("Serialization", () => sender.sendSync({ fd, list: [new Proxy({}, traps)] }));
  assert(error.message.includes("a Proxy at value.list[0]"), error.message);
  assertEquals([trapped, fd.closed, receiver.tryRecv().state], [0, false, "empty"]);
  fd.close(), sender.close(), receiver.close();
});
