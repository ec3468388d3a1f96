// `isthmus show`, run as a process.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  array,
  f64,
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcReceiver,
  IpcSender,
  struct,
  u64,
} from "../../../mod.ts";
import { FINGERPRINT_LOW, KIND, LENGTHS } from "../../../arc/segment/header.ts";
import { folderTest } from "../../support/folder.ts";
import { isthmus } from "../../support/isthmus.ts";
import { processTest } from "../../support/test.ts";

/** A word in the file of a cell or a channel. */
function poke(file: string, word: number, value: number): void {
  using opened = Deno.openSync(file, { write: true });
  opened.seekSync(word * 4, Deno.SeekMode.Start);
  opened.writeSync(new Uint8Array(new Int32Array([value]).buffer));
}

processTest("isthmus show prints the value of a cell as JSON, with who holds it", async () => {
  const name = `show-${crypto.randomUUID()}`;
  const value = { count: 3, big: 12n, at: new Date(0), odd: undefined };
  using cell = IpcArc.create<unknown>(name, value);
  using guard = cell.acquireSync();
  const { code, out, err } = await isthmus("show", name);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, new RegExp(`^cell +${name}, live$`, "m"));
  assertMatch(out, new RegExp(`^locked by +${Deno.pid} `, "m"));
  const json = '{"count":3,"big":{"$bigint":"12"},"at":{"$date":"1970-01-01T00:00:00.000Z"},"odd":{"$undefined":true}}';
  assertStringIncludes(out, `\n${json}\n`);

  const document = JSON.parse((await isthmus("show", name, "--json")).out);
  assertEquals(document.value, JSON.parse(json));
  assertEquals([document.name, document.header.changeCounter, document.problem], [name, 0, null]);
  guard.release();
  assertEquals(cell.read(), value);
});

processTest("isthmus show reads a cell by its layout, and shows bytes where the layout is not known", async () => {
  const name = `show-${crypto.randomUUID()}`;
  using _cell = IpcArc.create(name, { n: 258n, list: [1, 2] as unknown as Float64Array }, {
    layout: struct({ n: u64, list: array(f64, 2) }),
  });
  const document = JSON.parse((await isthmus("show", name, "--json")).out);
  assertEquals(document.value, { n: { $bigint: "258" }, list: { $array: ["Float64Array", [1, 2]] } });
  assertMatch(document.header.fingerprint, /^[0-9a-f]{16}$/);

  poke(`/dev/shm/isthmus.${name}`, FINGERPRINT_LOW, 1);
  const { code, out } = await isthmus("show", name);
  assertEquals(code, 0);
  assertStringIncludes(out, "does not fit the fingerprint");
  assertStringIncludes(out, "\n00000000  02 01 00 00 00 00 00 00 00 00 00 00 00 00 f0 3f  ...............?\n");
  const { $bytes } = JSON.parse((await isthmus("show", name, "--json")).out).value;
  assertEquals(Uint8Array.fromBase64($bytes).length, 24);
});

processTest("isthmus show of a damaged cell is an error that says what is wrong", async () => {
  const name = `show-${crypto.randomUUID()}`, file = `/dev/shm/isthmus.${name}`;
  using _cell = IpcArc.create(name, 1);
  poke(file, LENGTHS, 70_000);
  const tooLong = await isthmus("show", name);
  assertEquals(tooLong.code, 1);
  assertStringIncludes(tooLong.err, "its value claims 70000 bytes, and 65536 are the most it can hold");
  assertEquals(tooLong.err.trim().split("\n").length, 1, "no stack");
  const document = await isthmus("show", name, "--json");
  assertEquals([document.code, document.err], [1, ""]);
  assertStringIncludes(JSON.parse(document.out).problem, "70000");
  poke(file, LENGTHS, 5);
  assertStringIncludes((await isthmus("show", name)).err, "Cannot decode a message of 5 bytes");
  poke(file, KIND, 9);
  assertStringIncludes((await isthmus("show", name)).err, "its header contradict one another");
});

folderTest("isthmus show prints what waits in a channel, and does not receive it", async ({ channel: path }) => {
  using receiver = IpcReceiver.create<unknown>(path);
  using sender = IpcSender.open<unknown>(path);
  const values = ["one", { two: 2n }, new Map([[3, "\x1b[31m"]]), new Uint8Array([4])];
  for (const value of values) sender.sendSync(value);

  const { code, out, err } = await isthmus("show", path);
  assertEquals([code, err], [0, ""]);
  assertMatch(out, new RegExp(`^channel +${path}, live$`, "m"));
  assertMatch(out, /^waiting +4 messages, 256 B of 4.2 MB$/m);
  assertMatch(out, new RegExp(`^received by +${Deno.pid} `, "m"));
  assertEquals(
    out.split("\n").filter((line) => line.startsWith("#")).map((line) => line.replace(/ {2}\d+ B {2}/, "  ")),
    [
      '#1  "one"',
      '#2  {"two":{"$bigint":"2"}}',
      '#3  {"$map":[[3,"\\u001b[31m"]]}',
      '#4  {"$bytes":"BA=="}',
    ],
  );

  const document = JSON.parse((await isthmus("show", path, "--json", "--limit", "2")).out);
  assertEquals(document.backlog.map(({ value }: { value: unknown }) => value), ["one", { two: { $bigint: "2" } }]);
  assertEquals([document.omitted, document.messages, document.header.tail], [2, 4, 4]);
  assertEquals(document.holders, [{ ...document.receiver, times: 2 }]);
  assertStringIncludes((await isthmus("show", path, "-n1")).out, "… and 3 more messages; --limit=4 shows all");
  assertEquals(receiver.recvMany(), values);
  assertMatch((await isthmus("show", path)).out, /^waiting +0 messages/m);
});

folderTest("isthmus show prints messages that are no values as bytes", async ({ channel: path }) => {
  using _receiver = IpcBytesReceiver.create(path);
  using sender = IpcBytesSender.open(path);
  sender.sendSync(new Uint8Array([0xde, 0xad, 0xbe, 0xef]));
  const { code, out } = await isthmus("show", path);
  assertEquals(code, 0);
  assertStringIncludes(out, "#1  4 B  de ad be ef  (Cannot decode a message of 4 bytes");
  const [message] = JSON.parse((await isthmus("show", path, "--json")).out).backlog;
  assertEquals([message.value, message.bytes, message.length], [null, { $bytes: "3q2+7w==" }, 4]);
  assertStringIncludes((await isthmus("show", path, "--bytes")).out, '#1  4 B  {"$bytes":"3q2+7w=="}');
});

folderTest("isthmus show of a damaged channel is an error that says what is wrong", async ({ channel: path }) => {
  const sender = IpcSender.open<unknown>(path);
  sender.sendSync("kept");
  sender.close();
  poke(path, 17408, 5000); // the first commit word: more than was claimed
  const { code, out, err } = await isthmus("show", path);
  assertEquals(code, 1);
  assertStringIncludes(out, "damaged");
  assertMatch(
    err,
    /^isthmus: The channel ".*" is damaged: the record at position 0 claims 79 blocks, and 1 are left\n$/,
  );
});

folderTest("isthmus show says what is missing, or is something else", async (folder) => {
  const text = `${folder.path}/text`;
  Deno.writeTextFileSync(text, "mine");
  const name = `show-${crypto.randomUUID()}`;
  const cases: [string[], number, string][] = [
    [["show", name], 1, `Cannot show "${name}": there is no shared cell of that name`],
    [["show", `${folder.path}/missing`], 1, "there is no named channel at that path"],
    [["show", text], 1, "the path is a file of 4 bytes, not the size of a ring"],
    [["show", folder.path], 1, "not a regular file"],
    [["show"], 2, '"isthmus show" needs NAME'],
    [["show", name, "--limit=many"], 2, '"--limit" takes a number'],
    [["show", name, "--byte"], 2, 'did you mean "--bytes"?'],
  ];
  for (const [args, code, complaint] of cases) {
    const said = await isthmus(...args);
    assertEquals([said.code, said.out], [code, ""]);
    assertStringIncludes(said.err, complaint);
    assert(!said.err.includes("\n    at "), "no stack");
  }
});
