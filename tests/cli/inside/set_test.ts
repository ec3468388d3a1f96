// `isthmus set`, run as a process.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { array, bytes, f64, i64, IpcArc, struct, u32 } from "../../../mod.ts";
import { cellInfo, removeCell } from "../../../arc/inspect/mod.ts";
import { FINGERPRINT_LOW } from "../../../arc/segment/header.ts";
import { isthmus, isthmusReading, killed, Running } from "../../support/isthmus.ts";
import { processTest } from "../../support/test.ts";

processTest("isthmus set writes a JSON value, and what JSON lacks by the rule", async () => {
  const name = `set-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, 0);
  const watch = cell.watch()[Symbol.asyncIterator]();
  const cases: [string, unknown][] = [
    ['{"a":[1,null]}', { a: [1, null] }],
    ['"text"', "text"],
    ["-5", -5],
    ['{"$map":[[1,{"$date":"1970-01-01T00:00:00.000Z"}]]}', new Map([[1, new Date(0)]])],
  ];
  for (const [text, value] of cases) {
    const next = watch.next();
    assertEquals(await isthmus("set", name, text), { code: 0, out: `set ${name}\n`, err: "" });
    assertEquals(cell.read(), value);
    assertEquals((await next).value, value);
  }
  await watch.return!();
  const { out } = await isthmus("set", name, '{"$bigint":"7"}', "--json");
  assertEquals(JSON.parse(out), { name, value: { $bigint: "7" }, ownerDied: false });
  assertEquals([cell.read(), cell.refCount], [7n, 1]);
});

processTest("isthmus set reads the value from the standard input", async () => {
  const name = `set-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, 0);
  assertEquals((await isthmusReading('{\n  "from": "input ☺"\n}\n', "set", name, "-")).code, 0);
  assertEquals(cell.read(), { from: "input ☺" });
  const { value } = JSON.parse((await isthmus("show", name, "--json")).out);
  assertEquals(value, { from: "input ☺" });
  const long = await isthmusReading(" ".repeat(1 << 20), "set", name, "-");
  assertEquals([long.code, long.err], [1, "isthmus: Cannot set a value that is longer than the cell can hold\n"]);
});

processTest("isthmus set waits for the lock, and no longer than it is told to", async () => {
  const name = `set-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, "before");
  const guard = cell.acquireSync();
  for (const timeout of ["0", "50"]) {
    const { code, out, err } = await isthmus("set", name, "1", "--timeout", timeout);
    assertEquals([code, out], [1, ""]);
    assertMatch(err, new RegExp(`timed out after ${timeout} ms; ${Deno.pid} .* has the lock\n$`));
  }
  await using waiting = new Running("set", name, "1");
  while (cell.refCount < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(cell.read(), "before");
  guard.release();
  assertEquals(await waiting.ended(), { code: 0, lines: [`set ${name}`], err: "" });
  assertEquals(cell.read(), 1);
});

processTest(
  "isthmus set that waits for the lock is ended by Ctrl-C, and leaves the value and the lock alone",
  async () => {
    const name = `set-${crypto.randomUUID()}`;
    using cell = IpcArc.create<unknown>(name, "before");
    const guard = cell.acquireSync();
    await using waiting = new Running("set", name, "1");
    while (cell.refCount < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals((await waiting.end("SIGINT")).code, 1);
    guard.release();
    using _again = cell.acquireSync({ timeout: 0 });
    assertEquals([cell.read(), cell.refCount], ["before", 1]);
  },
);

processTest("isthmus set says that the last owner of the lock has died holding it", async () => {
  const name = `set-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, 0);
  await killed(`isthmus.IpcArc.load(${JSON.stringify(name)}).acquireSync()`);
  assertStringIncludes((await isthmus("set", name, "1")).out, "the last owner of its lock had died holding it");
  assertEquals(cell.read(), 1);
});

processTest("isthmus set writes a cell by its layout, and refuses what does not fit", async () => {
  const name = `set-${crypto.randomUUID()}`;
  const layout = struct({ n: u32, big: i64, list: array(f64, 2), raw: bytes(2) });
  const before = { n: 1, big: 2n, list: new Float64Array([3, 4]), raw: new Uint8Array([5, 6]) };
  using cell = IpcArc.create(name, before, { layout });
  const after = { n: 7, big: -8n, list: new Float64Array([9.5, 10]), raw: new Uint8Array([1, 2]) };
  assertEquals((await isthmus("set", name, '{"n":7,"big":-8,"list":[9.5,10],"raw":{"$bytes":"AQI="}}')).code, 0);
  assertEquals(cell.read(), after);
  const { value } = JSON.parse((await isthmus("show", name, "--json")).out);
  assertEquals((await isthmus("set", name, JSON.stringify({ ...value, n: 8 }))).code, 0);
  assertEquals(cell.read(), { ...after, n: 8 });

  const cases: [string, string][] = [
    ["7", "a struct is an object"],
    ['{"n":7}', 'without its field "big"'],
    ['{"n":-7,"big":1,"list":[1,2],"raw":[1,2]}', 'Cannot write -7 at "n": u32 is an integer'],
    ['{"n":7,"big":1,"list":[1],"raw":[1,2]}', 'Cannot write 1 elements at "list"'],
    ['{"n":7,"big":1.5,"list":[1,2],"raw":[1,2]}', 'Cannot write 1.5 at "big": i64 is a bigint'],
    ['{"m":7}', 'The struct has no field "m"'],
  ];
  for (const [text, complaint] of cases) {
    const { code, out, err } = await isthmus("set", name, text);
    assertEquals([code, out, err.trim().split("\n").length], [1, "", 1]);
    assertStringIncludes(err, complaint);
  }
  assertEquals(cell.read(), { ...after, n: 8 });

  using file = Deno.openSync(`/dev/shm/isthmus.${name}`, { write: true });
  file.seekSync(FINGERPRINT_LOW * 4, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([1, 2]));
  const { code, err } = await isthmus("set", name, '{"n":1}');
  assertEquals(code, 1);
  assertStringIncludes(err, "its header does not describe its layout");
});

processTest("isthmus set refuses what cannot be set, and says why", async () => {
  const name = `set-${crypto.randomUUID()}`, dead = `set-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, "before", { capacity: 20 });
  await killed(`isthmus.IpcArc.create(${JSON.stringify(dead)}, "last")`);
  const cases: [string[], number, string][] = [
    [["set", name, "text"], 1, `it is not JSON`],
    [["set", name, "text"], 1, `a text is written '"text"'`],
    [["set", name, '{"$byte":1}'], 1, "must be one of"],
    [["set", name, `"${"x".repeat(30)}"`], 1, "its capacity is 20 bytes"],
    [["set", `${name}-not`, "1"], 1, "there is no shared cell of that name"],
    [["set", dead, "1"], 1, "its holders have ended"],
    [["set", "/dev/shm/x", "1"], 2, '"isthmus send" sends to named channels'],
    [["set", name], 2, '"isthmus set" needs VALUE'],
    [["set", name, "1", "2"], 2, 'unexpected argument "2"'],
    [["set", name, "1", "--timeout=-1"], 2, '"--timeout" takes milliseconds'],
    [["set", name, "1", "--time=1"], 2, "Unknown flag"],
  ];
  for (const [args, code, complaint] of cases) {
    const said = await isthmus(...args);
    assertEquals([said.code, said.out], [code, ""], complaint);
    assertStringIncludes(said.err, complaint);
  }
  assertEquals(cell.read(), "before");
  assertEquals(cellInfo(dead)!.stale, true);
  removeCell(dead);
});
