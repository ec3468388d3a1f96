// Cells and named channels that belong to other users, or that others may write to.
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import {
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcError,
  IpcReceiver,
  IpcSender,
  type Trust,
} from "../../../mod.ts";
import { cellInfo, collectStaleCells, removeCell } from "../../../arc/inspect/mod.ts";
import { isthmus } from "../../support/isthmus.ts";
import { patience } from "../../support/patience.ts";
import { isRoot, OtherUser } from "../../support/users.ts";

const ANN = 60001, BEN = 60002, GROUP = 60100;

function userTest(name: string, body: (name: string) => Promise<void>): void {
  if (!isRoot) console.log(`Ignored, as it must be root: ${name}`);
  Deno.test({
    name,
    ignore: !isRoot,
    async fn() {
      const unique = `users-${crypto.randomUUID()}`;
      try {
        await body(unique);
        const left = [...Deno.readDirSync("/dev/shm")].map(({ name }) => name).filter((file) => file.includes(unique));
        assertEquals(left, []);
      } finally {
        for (const { name } of Deno.readDirSync("/dev/shm")) {
          if (name.includes(unique)) Deno.removeSync(`/dev/shm/${name}`);
        }
      }
    },
  });
}

function refused(call: () => unknown): string {
  const error = assertThrows(call, IpcError);
  assertEquals(error.code, "Permission", error.message);
  return error.message;
}

userTest("Another user's cell is refused, by its owner's name, unless that user is trusted", async (cell) => {
  await using ann = new OtherUser(ANN);
  const make = (mode: string) =>
    ann.do(`kept.arc?.close(); kept.arc = isthmus.IpcArc.create("${cell}", 7, { mode: ${mode} });`);
  await make("0o666");
  for (
    const call of [
      () => IpcArc.load(cell),
      () => IpcArc.createOrLoad(cell, 1),
      () => IpcArc.create(cell, 1),
      () => IpcArc.load(cell, { mode: 0o666 }), // who may write is one thing, whose it is another
    ]
  ) assertStringIncludes(refused(call), `belongs to user ${ANN}, and this program runs as root`);
  assertStringIncludes(refused(() => IpcArc.load(cell, { trust: { users: [ANN] } })), "written to by everybody");
  assertStringIncludes(refused(() => IpcArc.load(cell, { trust: { users: [BEN] }, mode: 0o666 })), `user ${ANN}`);
  for (const options of [{ trust: "anyone" }, { trust: { users: [BEN, ANN] }, mode: 0o666 }] as const) {
    using arc = IpcArc.load<number>(cell, options);
    assertEquals(arc.read(), 7);
  }
  await make("0o600");
  assertStringIncludes(refused(() => IpcArc.load(cell)), `user ${ANN}`);
  using arc = IpcArc.load<number>(cell, { trust: { users: [ANN] } });
  assertEquals(arc.read(), 7);
  await ann.do("kept.arc.close()");
});

userTest("A cell that others may write to is refused where one's own would not be", async (cell) => {
  using own = IpcArc.create(cell, 1, { mode: 0o666 });
  assertStringIncludes(refused(() => IpcArc.load(cell)), "may be written to by everybody (mode 0o666)");
  assertStringIncludes(refused(() => IpcArc.createOrLoad(cell, 1, { mode: 0o660 })), "everybody");
  IpcArc.load(cell, { mode: 0o666 }).close();
  Deno.chmodSync(`/dev/shm/isthmus.${cell}`, 0o660);
  assertStringIncludes(refused(() => IpcArc.load(cell)), "written to by the group 0");
  for (const trust of [{ group: 0 }, "anyone"] as const) IpcArc.load(cell, { trust }).close();
  Deno.chmodSync(`/dev/shm/isthmus.${cell}`, 0o644); // reading changes nothing
  IpcArc.load(cell).close();
  // Root's is a user's to use, if it may.
  Deno.chmodSync(`/dev/shm/isthmus.${cell}`, 0o666);
  await using ann = new OtherUser(ANN);
  assertMatch(String(await ann.do(`isthmus.IpcArc.load("${cell}")`)), /^Permission: .*root, may be written to/);
  assertEquals(await ann.do(`using arc = isthmus.IpcArc.load("${cell}", { mode: 0o666 }); return arc.read()`), 1);
  assertEquals(own.read(), 1);
});

userTest("What is no trust is a TypeError", async (cell) => {
  await undefined;
  for (const trust of ["everybody", 5, [1], null, { users: 1 }, { users: ["ann"] }, { group: "staff" }]) {
    assertThrows(() => IpcArc.create(cell, 1, { trust: trust as Trust }), TypeError, "trust");
    assertThrows(() => IpcSender.open(`/dev/shm/${cell}`, { trust: trust as Trust }), TypeError, "trust");
  }
  assertThrows(() => IpcArc.create(cell, 1, { trust: { users: [-1] } }), RangeError, "trust");
});

for (
  const [how, options] of [
    ["anyone", '{ mode: 0o666, trust: "anyone" }'],
    ["users", `{ mode: 0o666, trust: { users: [${ANN}, ${BEN}] } }`],
    ["group", `{ mode: 0o660, trust: { group: ${GROUP} } }`],
  ] as const
) {
  userTest(
    `Users who trust each other (${how}) share a cell whole: any of them creates, leaves last or is killed`,
    async (cell) => {
      const gid = how === "group" ? GROUP : undefined;
      await using ann = new OtherUser(ANN, gid);
      await using ben = new OtherUser(BEN, gid);
      const open = (user: OtherUser, value: number) =>
        user.do(`kept.arc = isthmus.IpcArc.createOrLoad("${cell}", ${value}, ${options}); return kept.arc.read();`);
      const add = (user: OtherUser) => user.do("return await kept.arc.update((n) => n + 1)");
      const close = (user: OtherUser) => user.do("kept.arc.close()");
      const start = performance.now();
      assertEquals([await open(ann, 10), await open(ben, 20)], [10, 10]);
      // Each waits for the other, so each rings the other.
      await ben.do("kept.guard = await kept.arc.acquire();");
      const waiting = add(ann);
      await ben.do("await new Promise((resolve) => setTimeout(resolve, 20)); kept.guard.release()");
      assertEquals([await waiting, await add(ben)], [11, 12]);
      await close(ann), await close(ben);
      // The last one was not who made the file, and cannot remove it: it is found dead, and used again.
      assertEquals(
        await ben.do(`return isthmus.IpcArc.load("${cell}", ${options}).read()`).then((said) =>
          String(said).slice(0, 8)
        ),
        "NotFound",
      );
      assertEquals(await open(ben, 30), 30);
      assertEquals([await open(ann, 40), await add(ann), await add(ben)], [30, 31, 32]);
      assertEquals(await ann.do("return kept.arc.refCount"), 2);
      await close(ann), await close(ben);
      assertEquals(
        await ben.do(
          `using arc = isthmus.IpcArc.create("${cell}", "x".repeat(100000), { ...${options}, capacity: 200000 }); return arc.read().length`,
        ),
        100000,
      );
      // Killed: the same.
      assertEquals(await open(ann, 50), 50);
      await ann.kill();
      assertEquals([await open(ben, 60), await add(ben)], [60, 61]);
      await ben.kill();
      // Nobody span, and nobody ran out of time.
      assert(performance.now() - start < patience(20_000));
      await using last = new OtherUser(BEN, gid);
      assertEquals(await open(last, 70), 70);
      await close(last);
      collectStaleCells();
    },
  );
}

userTest("isthmus rm and gc say what they could not remove", async (cell) => {
  await using ann = new OtherUser(ANN);
  await using ben = new OtherUser(BEN);
  const path = `/dev/shm/${cell}.jobs`;
  await ann.do(
    `isthmus.IpcArc.create("${cell}", 1, { mode: 0o666 }); isthmus.IpcSender.open("${path}", { mode: 0o666 });`,
  );
  await ann.kill();
  const command = (...args: string[]) =>
    ben.do(`
      const said = [], { stdout, stderr } = Deno, decoder = new TextDecoder();
      const sink = { writeSync: (bytes) => (said.push(decoder.decode(bytes)), bytes.length), isTerminal: () => false };
      Object.defineProperty(Deno, "stdout", { value: sink, configurable: true });
      Object.defineProperty(Deno, "stderr", { value: sink, configurable: true });
      try { return [await main(${JSON.stringify(args)}), said.join("")]; }
      finally {
        Object.defineProperty(Deno, "stdout", { value: stdout, configurable: true });
        Object.defineProperty(Deno, "stderr", { value: stderr, configurable: true });
      }`) as Promise<[number, string]>;
  for (const args of [["rm", cell], ["rm", path], ["rm", path, "--force"]]) {
    const [code, text] = await command(...args);
    assertEquals(code, 1, text);
    assertStringIncludes(text, `belongs to user ${ANN}`);
    assertEquals(text.includes("removed"), false, text);
  }
  const [code, text] = await command("gc", "--yes");
  assertEquals(code, 1, text);
  for (const what of [cell, path]) {
    const line = text.split("\n").find((line) => line.includes(what))!;
    assertStringIncludes(line, `belongs to user ${ANN}`);
    assertEquals(line.startsWith("removed"), false);
  }
  assertEquals(cellInfo(cell)!.stale, true);
  // Root can, and never looks at their memory for it.
  assertEquals((await isthmus("rm", cell)).code, 0);
  assertEquals((await isthmus("rm", path)).code, 0);
});

userTest(
  "Another user's named channel is refused unless that user is trusted, and then it is shared whole",
  async (name) => {
    const path = `/dev/shm/${name}`;
    await using ann = new OtherUser(ANN);
    await ann.do(`kept.receiver = isthmus.IpcReceiver.create("${path}", { mode: 0o666 });`);
    for (
      const call of [
        () => IpcSender.open(path),
        () => IpcReceiver.create(path),
        () => IpcBytesSender.open(path),
        () => IpcBytesReceiver.create(path),
        () => IpcSender.open(path, { mode: 0o666 }),
      ]
    ) assertStringIncludes(refused(call), `belongs to user ${ANN}`);
    const trust: Trust = { users: [ANN] };
    assertStringIncludes(refused(() => IpcSender.open(path, { trust })), "written to by everybody");
    for (const options of [{ trust: "anyone" }, { trust, mode: 0o666 }] as const) {
      using sender = IpcSender.open<string>(path, options);
      sender.sendSync("hello");
      assertEquals(await ann.do("return kept.receiver.recvSync({ timeout: 10000 })"), "hello");
    }
    // One of its FIFOs swapped for somebody else's.
    await ann.do("kept.receiver.close()");
    await ann.do(`kept.sender = isthmus.IpcSender.open("${path}");`);
    Deno.removeSync(`${path}.bell`);
    await using ben = new OtherUser(BEN);
    await ben.do(`new Deno.Command("mkfifo", { args: ["${path}.bell"] }).outputSync()`);
    assertStringIncludes(refused(() => IpcSender.open(path, { trust })), `user ${BEN}`);
    assertEquals(IpcReceiver.remove(path, { force: true }), true);
  },
);

userTest("Something else in the place of a doorbell is not written to", async (cell) => {
  const precious = `/dev/shm/${cell}.precious`;
  Deno.writeTextFileSync(precious, "precious");
  await using ann = new OtherUser(ANN);
  const options = '{ mode: 0o666, trust: "anyone" }';
  using arc = IpcArc.create(cell, 0, { mode: 0o666, trust: "anyone" });
  await ann.do(`kept.arc = isthmus.IpcArc.load("${cell}", ${options}); kept.guard = kept.arc.acquireSync();
    kept.waiting = kept.arc.acquire(); await new Promise((resolve) => setTimeout(resolve, 5)); kept.guard.release(); (await kept.waiting).release()`);
  const inode = Deno.statSync(`/dev/shm/isthmus.${cell}`).ino!.toString(16);
  const guard = arc.acquireSync();
  await ann.do("kept.waiting = kept.arc.acquire(); await new Promise((resolve) => setTimeout(resolve, 200))");
  const bell = [...Deno.readDirSync("/dev/shm")].find(({ name }) => name.startsWith(`isthmus-bell.${inode}.`))!.name;
  await ann.do(`Deno.removeSync("/dev/shm/${bell}"); Deno.symlinkSync("${precious}", "/dev/shm/${bell}")`);
  guard.release();
  await ann.do("(await kept.waiting).release()");
  assertEquals(Deno.readTextFileSync(precious), "precious");
  Deno.removeSync(precious);
  await ann.do("kept.arc.close()");
  try {
    Deno.removeSync(`/dev/shm/${bell}`);
  } catch {
    // its owner has removed it
  }
});

void removeCell;
