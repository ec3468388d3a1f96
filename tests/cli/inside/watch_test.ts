// `isthmus watch`, run as a process.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { IpcArc, IpcReceiver, IpcSender, struct, u32 } from "../../../mod.ts";
import { cellInfo, removeCell } from "../../../arc/inspect/mod.ts";
import { FINGERPRINT_LOW } from "../../../arc/segment/header.ts";
import { folderTest } from "../../support/folder.ts";
import { isthmus, isthmusArguments, killed, Running, TypedTerminal } from "../../support/isthmus.ts";
import { processTest } from "../../support/test.ts";

processTest("isthmus watch prints the value of a cell, and each change, and ends by Ctrl-C", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, { n: 0 });
  await using watch = new Running("watch", name);
  assertEquals(await watch.line(), '{"n":0}');
  const changes: [unknown, string][] = [[{ n: 1 }, '{"n":1}'], ["two\n", '"two\\n"'], [3n, '{"$bigint":"3"}']];
  for (const [value, line] of changes) {
    cell.updateSync(() => value);
    assertEquals(await watch.line(), line);
  }
  assertEquals(cell.refCount, 2);
  assertEquals(await watch.end("SIGINT"), { code: 0, lines: [], err: "" });
  assertEquals(cell.refCount, 1);
  const bells = `isthmus-bell.${Deno.statSync(`/dev/shm/isthmus.${name}`).ino!.toString(16)}.`;
  assertEquals([...Deno.readDirSync("/dev/shm")].filter((file) => file.name.startsWith(bells)), []);
});

processTest("isthmus watch never misses the last of many changes, and never goes back", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, 0);
  await using watch = new Running("watch", name, "--json");
  assertEquals(await watch.line(), '{"changes":0,"value":0}');
  for (let n = 1; n <= 5000; n++) cell.updateSync(() => n);
  let last = 0;
  while (last < 5000) {
    const { value } = JSON.parse((await watch.line())!);
    assert(value > last, `${value} after ${last}`);
    last = value;
  }
  assertEquals((await watch.end("SIGTERM")).code, 0);
});

processTest("isthmus watch follows a cell by its layout, and as bytes where the layout is not known", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, { n: 1 }, { layout: struct({ n: u32 }) });
  {
    await using watch = new Running("watch", name);
    assertEquals(await watch.line(), '{"n":1}');
    cell.updateSync(() => ({ n: 2 }));
    assertEquals(await watch.line(), '{"n":2}');
    assertEquals((await watch.end("SIGINT")).code, 0);
  }
  using file = Deno.openSync(`/dev/shm/isthmus.${name}`, { write: true });
  file.seekSync(FINGERPRINT_LOW * 4, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([1]));
  await using watch = new Running("watch", name);
  assertEquals(await watch.line(), '{"$bytes":"AgAAAA=="}');
  cell.updateSync(() => ({ n: 3 }));
  assertEquals(await watch.line(), '{"$bytes":"AwAAAA=="}');
  assertEquals((await watch.end("SIGINT")).code, 0);
});

processTest("isthmus watch ends when nobody reads what it prints", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, 0);
  await using watch = new Running("watch", name);
  assertEquals(await watch.line(), "0");
  await watch.stopReading();
  let ended = false;
  const status = watch.process.status.then((status) => {
    ended = true;
    return status;
  });
  for (let n = 1; !ended; n++) {
    cell.updateSync(() => n);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals((await status).code, 0);
});

processTest("isthmus watch draws in one place on a terminal, and ends by Ctrl-C there", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, ["first"]);
  const words = [Deno.execPath(), ...isthmusArguments(["watch", name])].map((word) => `'${word}'`).join(" ");
  // Without `exec` some shells stay, are told of Ctrl-C as well, and give its exit code instead of the command's.
  await using terminal = await TypedTerminal.run(`exec ${words}`);
  if (terminal === undefined) return;
  await terminal.until('["first"]');
  cell.updateSync(() => ["second"]);
  await terminal.until('["second"]');
  assertStringIncludes(terminal.text, `\x1b[2A\r\x1b[J${name}, changed 1 time\r\n["second"]`);
  await terminal.type("\x03"); // Ctrl-C
  assertEquals((await terminal.status).code, 0);
  assertEquals(cell.refCount, 1);
});

processTest("isthmus watch refuses a cell that cannot change any more, and leaves it for who looks at it", async () => {
  const name = `watch-${crypto.randomUUID()}`;
  await killed(`isthmus.IpcArc.create(${JSON.stringify(name)}, "last")`);
  const { code, err } = await isthmus("watch", name);
  assertEquals(code, 1);
  assertStringIncludes(err, "its holders have ended, so it cannot change any more");
  assertEquals(cellInfo(name)!.stale, true);
  assertStringIncludes((await isthmus("show", name)).out, '"last"');
  removeCell(name);
});

folderTest("isthmus watch prints the backlog of a channel when it changes, and receives nothing", async (folder) => {
  const path = folder.channel;
  const receiver = IpcReceiver.create<number>(path);
  using sender = IpcSender.open<number>(path);
  await using watch = new Running("watch", path, "--json", "--interval=20");
  const first = JSON.parse((await watch.line())!);
  assertEquals([first.messages, first.waiting, first.sent, first.receiver.pid], [0, 0, 0, Deno.pid]);
  for (let n = 0; n < 3; n++) sender.sendSync(n);
  let now = first;
  while (now.messages < 3) now = JSON.parse((await watch.line())!);
  assertEquals([now.messages, now.waiting, now.sent, now.received], [3, 192, 192, 0]);
  assertEquals(receiver.recvMany(), [0, 1, 2]);
  while (now.messages > 0) now = JSON.parse((await watch.line())!);
  assertEquals([now.waiting, now.received], [0, 192]);

  sender.close();
  receiver.close(); // the last one out removes the files
  assertEquals((await watch.ended()).code, 0);
});

folderTest("isthmus watch prints a line for people by default", async ({ channel: path }) => {
  using _receiver = IpcReceiver.create<number>(path);
  await using watch = new Running("watch", path);
  assertMatch((await watch.line())!, new RegExp(`^0 messages, 0 B of 4.2 MB; .*; received by ${Deno.pid} .*nobody$`));
  assertEquals(await watch.end("SIGINT"), { code: 0, lines: [], err: "" });
});

processTest("isthmus watch says what is missing or makes no sense", async () => {
  const cases: [string[], number, string][] = [
    [["watch", "missing"], 1, "there is no shared cell of that name"],
    [["watch", "/missing"], 1, "there is no named channel at that path"],
    [["watch", "cell", "--interval=5"], 2, "a cell says when it changes"],
    [["watch", "/dev", "--interval=5"], 2, '"--interval" is 20 at least, and not 5'],
    [["watch", "/dev", "--interval=x"], 2, '"--interval" takes milliseconds'],
    [["watch", "/dev", "--intervall=5"], 2, 'did you mean "--interval"?'],
  ];
  for (const [args, code, complaint] of cases) {
    const said = await isthmus(...args);
    assertEquals([said.code, said.out], [code, ""]);
    assertStringIncludes(said.err, complaint);
  }
});
