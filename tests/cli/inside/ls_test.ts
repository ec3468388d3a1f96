// `isthmus ls`, run as a process.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { IpcArc, IpcReceiver, IpcSender, struct, u32 } from "../../../mod.ts";
import { MAGIC } from "../../../arc/segment/header.ts";
import { folderTest } from "../../support/folder.ts";
import { isthmus, killed, onTerminal } from "../../support/isthmus.ts";
import { processTest } from "../../support/test.ts";

/** This process, as it is listed. */
function itself() {
  return { pid: Deno.pid, name: Deno.readTextFileSync("/proc/self/comm").trim() };
}

interface Listed {
  cells: Record<string, unknown>[];
  channels: Record<string, unknown>[];
}

async function list(...args: string[]): Promise<Listed> {
  const { code, out, err } = await isthmus("ls", "--json", ...args);
  assertEquals([code, err], [0, ""]);
  return JSON.parse(out);
}

processTest("isthmus ls shows a cell with its holders and the owner of its lock", async () => {
  const name = `ls-${crypto.randomUUID()}`;
  const self = itself();
  using cell = IpcArc.create(name, 7, { capacity: 100 });
  using _other = cell.clone();
  const free = (await list()).cells.find((found) => found["name"] === name)!;
  assertEquals(free, {
    name,
    kind: "cbor",
    layout: null,
    size: free["size"],
    capacity: 100,
    length: 1,
    references: 2,
    holders: [{ ...self, times: 2 }],
    lockedBy: null,
    stale: false,
    damage: null,
  });
  using _guard = cell.acquireSync();
  const { out } = await isthmus("ls");
  const line = out.split("\n").find((line) => line.includes(name))!;
  assertMatch(
    line,
    new RegExp(`^cell +${name} +\\d.* live +${self.pid} ${self.name} ×2 +CBOR, locked by ${self.pid} `),
  );
});

processTest("isthmus ls shows the layout of a cell that has one", async () => {
  const name = `ls-${crypto.randomUUID()}`;
  using _cell = IpcArc.create(name, { n: 1 }, { layout: struct({ n: u32 }) });
  const found = (await list()).cells.find((found) => found["name"] === name)!;
  assertEquals([found["kind"], found["layout"], found["length"]], ["pod", '{"n":u32}', 4]);
});

processTest("isthmus ls finds a channel that a process holds, wherever it is", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-ls-" });
  try {
    const path = `${folder}/held`;
    const self = itself();
    using receiver = IpcReceiver.create<unknown>(path);
    using sender = IpcSender.open<unknown>(path);
    sender.sendSync("one"), sender.sendSync(new Uint8Array(1000)), sender.sendSync("three");
    assertEquals(receiver.recvSync(), "one");
    const found = (await list()).channels.find((found) => found["path"] === path)!;
    assertEquals(found, {
      path,
      size: found["size"],
      capacity: 4 << 20,
      messages: 2,
      waiting: 17 * 64,
      holders: [{ ...self, times: 2 }],
      receiver: self,
      senders: [{ ...self, times: 1 }],
      stale: false,
      damage: null,
    });
    const { out } = await isthmus("ls");
    assertStringIncludes(out.split("\n").find((line) => line.includes(path))!, "2 messages wait");
    // It was looked at, and no more.
    assertEquals([(receiver.recvSync() as Uint8Array).length, receiver.recvSync()], [1000, "three"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

folderTest("isthmus ls shows as stale what killed processes left, and gc agrees", async (folder) => {
  const name = `ls-${crypto.randomUUID()}`;
  const empty = `${folder.path}/empty`, full = `${folder.path}/full`;
  await killed(`
    isthmus.IpcArc.create(${JSON.stringify(name)}, 1);
    isthmus.IpcReceiver.create(${JSON.stringify(empty)});
    isthmus.IpcSender.open(${JSON.stringify(full)}).sendSync("kept")`);
  const { cells, channels } = await list(folder.path);
  const cell = cells.find((found) => found["name"] === name)!;
  assertEquals([cell["stale"], cell["holders"], cell["references"]], [true, [], 0]);
  assertEquals(
    channels.filter(({ path }) => String(path).startsWith(folder.path))
      .map(({ path, stale, messages, receiver }) => [path, stale, messages, receiver]),
    [[empty, true, 0, null], [full, true, 1, null]],
  );
  assertEquals((await list(full)).channels.some(({ path }) => path === full), true);
  const gc = JSON.parse((await isthmus("gc", folder.path, "--json")).out);
  assertEquals([gc.channels, gc.kept], [[empty], [{ path: full, waiting: 64 }]]);
  assert(gc.cells.includes(name));
  await isthmus("rm", name);
});

folderTest("isthmus ls leaves what it looks at as it was", async (folder) => {
  const name = `ls-${crypto.randomUUID()}`;
  using cell = IpcArc.create(name, 1);
  using receiver = IpcReceiver.create<number>(folder.channel);
  const look = () => [
    cell.refCount,
    Deno.statSync(folder.channel).blocks,
    Deno.statSync(`/dev/shm/isthmus.${name}`).mtime,
    folder.files(),
    [...Deno.readDirSync("/dev/shm")].filter((entry) => entry.name.includes(name)).length,
  ];
  const before = look();
  await list(folder.path);
  assertEquals(look(), before);
  assertEquals(receiver.tryRecv(), { state: "empty" });
});

folderTest("isthmus ls shows damage as such, and writes nothing that acts on a terminal", async (folder) => {
  const name = `ls-\x1b[31m${crypto.randomUUID()}`;
  const file = `/dev/shm/isthmus.${name}`;
  const bytes = new Uint8Array(8400).fill(0xee);
  bytes.set(MAGIC);
  bytes.set([1, 0, 0, 0], 8);
  Deno.writeFileSync(file, bytes);
  try {
    const path = `${folder.path}/\x9b31m`;
    const sender = IpcSender.open(path);
    sender.sendSync(1);
    sender.close();
    using ring = Deno.openSync(path, { write: true });
    ring.seekSync(64, Deno.SeekMode.Start);
    ring.writeSync(new Uint8Array([0xff, 0xff, 0xff, 0x7f])); // TAIL
    const { code, out, err } = await isthmus("ls", folder.path);
    assertEquals([code, err], [0, ""]);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(out), out);
    const lines = out.split("\n");
    assertMatch(lines.find((line) => line.includes("ls-\\u001b[31m"))!, /damaged/);
    assertMatch(lines.find((line) => line.includes(`${folder.path}/\\u009b31m`))!, /damaged/);
    const listed = await list(folder.path);
    assertEquals(typeof listed.cells.find((cell) => cell["name"] === name)!["damage"], "string");
    assertEquals(typeof listed.channels.find((channel) => channel["path"] === path)!["damage"], "string");
  } finally {
    Deno.removeSync(file);
  }
});

folderTest("isthmus ls says what is wrong with what it was told to look at", async (folder) => {
  Deno.writeTextFileSync(`${folder.path}/text`, "mine");
  for (const path of [`${folder.path}/text`, `${folder.path}/missing`]) {
    assertEquals(await isthmus("ls", path), {
      code: 1,
      out: "",
      err: `isthmus: Cannot list "${path}": it is neither a folder nor a named channel\n`,
    });
  }
  const { code, err } = await isthmus("ls", "--jsn");
  assertEquals(code, 2);
  assertStringIncludes(err, 'did you mean "--json"?');
});

processTest("isthmus ls puts a table into blocks on a terminal that is too narrow for it", async () => {
  const name = `ls-${crypto.randomUUID()}`;
  using _cell = IpcArc.create(name, 1);
  const wide = await onTerminal(200, "isthmus ls", { NO_COLOR: "1" });
  if (wide === undefined) return;
  assertMatch(wide, new RegExp(`^KIND +NAME .*\n(.*\n)*cell +${name} `));
  const narrow = (await onTerminal(50, "isthmus ls", { NO_COLOR: "1" }))!;
  assertMatch(
    narrow,
    new RegExp(`^${name}\n  kind: cell\n  size: [^\n]+\n  state: live\n  held by: ${Deno.pid} `, "m"),
  );
  assert(!narrow.includes("\x1b"));
  assertStringIncludes((await onTerminal(50, "isthmus ls", { NO_COLOR: "" }))!, "\x1b[32mlive");
});
