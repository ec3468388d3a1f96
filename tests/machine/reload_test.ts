// Programs that are loaded again in a living process, as `deno run --watch` does.
import { assert, assertEquals } from "@std/assert";
import {
  channel,
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcReceiver,
  IpcSender,
  IpcServer,
  u32,
  UnixSocket,
} from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { folderTest } from "../support/folder.ts";
import { patience } from "../support/patience.ts";
import type { Names } from "../support/reload_program.ts";

const PROGRAM = new URL("../support/reload_program.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** What a process has open and mapped that is of this package, by kinds. */
function heldBy(pid: number): string[] {
  const held: string[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      held.push(Deno.readLinkSync(`/proc/${pid}/fd/${name}`).replace(/\d+/g, "N"));
    } catch {
      // closed meanwhile
    }
  }
  const maps = Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n").filter((line) => line.includes("isthmus"));
  return [...held, ...maps.map((line) => `mapped ${line.slice(line.indexOf("/")).replace(/\d+/g, "N")}`)].sort();
}

/** What there is more of now than before. */
function beyond(now: readonly string[], before: readonly string[]): string[] {
  const left = [...before];
  return now.filter((item) => {
    const at = left.indexOf(item);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** Waits until something is so. */
async function until(what: () => string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + patience(20_000);
  while (!isSo()) {
    assert(performance.now() < deadline, `It never came to pass: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** How the first program ends: by a new version of its file, or when it is told to, by this code. */
const ENDS: Record<string, string | undefined> = {
  "is replaced while it runs": undefined,
  "has called Deno.exit()": "Deno.exit(0);",
  "was ended by an error": 'throw new Error("An error, as the test wants it");',
};

for (const [how, ending] of Object.entries(ENDS)) {
  folderTest(`A program under --watch that ${how} leaves nothing open to the next one`, async (folder, { spawn }) => {
    const id = crypto.randomUUID();
    const names: Names = {
      folder: folder.path,
      cell: `isthmus-test-${id}`,
      number: `isthmus-test-n-${id}`,
      abstract: `@isthmus-test-${id}`,
    };
    using cell = IpcArc.create(names.cell, { changes: 0 });
    using number = IpcArc.create(names.number, 7, { layout: u32 });
    using loans = IpcBytesReceiver.create(`${folder.path}/loan`);
    const program = `${folder.path}/program.ts`;
    const load = (version: number) =>
      Deno.writeTextFileSync(
        program,
        `// ${version}\nimport { openAll } from ${JSON.stringify(PROGRAM)};\n` +
          `void openAll(${JSON.stringify(names)}).catch((error) => console.log(JSON.stringify(String(error))));\n` +
          (version > 1 || ending === undefined
            ? "setInterval(() => {}, 1000);\n"
            : `Deno.stdin.read(new Uint8Array(10)).then(() => { ${ending} });\n`),
      );
    load(1);
    const child = spawn(["run", "-A", "--quiet", "--no-check", `--config=${CONFIG}`, "--watch", program]);
    assertEquals(await soon(child.said()), "ready");

    const sender = IpcSender.open<string>(`${folder.path}/channel`);
    const client = IpcServer.connect<unknown, string>(`${folder.path}/server`);
    const byName = IpcServer.connect<string, string>(names.abstract);
    const [reply, replies] = channel<string>();
    assertEquals(await soon(client.recv()), "welcome");
    await client.send({ reply });
    assertEquals(await soon(client.recv()), "noted");
    reply.close();
    const oneShot = IpcSender.connect<string>(`${folder.path}/one-shot`);
    oneShot.sendSync("the first");
    assertEquals(await soon(child.said()), "the first");
    const socket = UnixSocket.connect(`${folder.path}/socket`);
    assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(`${folder.path}/channel`));
    assertIpcErrorSync("Timeout", () => cell.acquireSync({ timeout: 20 }));

    if (ending === undefined) load(2);
    else await child.tell("end");
    // Nobody tells a program that it has failed: the next one lets go of what it had.
    const failed = how.includes("error");
    if (failed) load(2);
    // Old clients are told, and so is who holds a channel that the program had got in a message.
    await assertIpcError("Disconnected", () => soon(client.recv()));
    await assertIpcError("Disconnected", () => soon(byName.recv()));
    await assertIpcError("Disconnected", () => soon(replies.recv()));
    await until(() => "the one-shot server's client is told", () => {
      try {
        return !oneShot.trySend("again");
      } catch {
        return true;
      }
    });
    if (ending !== undefined && !failed) load(2);

    assertEquals(await soon(child.said()), "ready");
    assertEquals([cell.read(), number.read()], [{ changes: 0 }, 7]);
    sender.sendSync("for the new one");
    assertEquals(await soon(child.said()), "for the new one");
    using again = IpcServer.connect<unknown, string>(`${folder.path}/server`);
    assertEquals(await soon(again.recv()), "welcome");
    const another = channel<string>();
    await again.send({ reply: another[0] });
    assertEquals(await soon(again.recv()), "noted");
    const held = heldBy(child.pid);
    using _byNameAgain = IpcServer.connect<string, string>(names.abstract);
    using _oneShotAgain = IpcSender.connect<string>(`${folder.path}/one-shot`);
    // The loan that was never committed does not hold the channel up.
    using bytes = IpcBytesSender.open(`${folder.path}/loan`);
    bytes.sendSync(new Uint8Array([1]));

    // Whatever stays open with each load is open several times in the end; Deno itself opens one or the other.
    const loads = 3;
    let last = again;
    for (let n = 0; n < loads; n++) {
      load(3 + n);
      await assertIpcError("Disconnected", () => soon(last.recv()));
      last.close();
      assertEquals(await soon(child.said()), "ready");
      last = IpcServer.connect<unknown, string>(`${folder.path}/server`);
      assertEquals(await soon(last.recv()), "welcome");
      await last.send({ reply: another[0] });
      assertEquals(await soon(last.recv()), "noted");
    }
    const more = () => beyond(heldBy(child.pid), held);
    await until(() => `no more is open than before; there is ${more().join(", ")}`, () => more().length < loads);
    last.close();

    await child.end();
    using guard = cell.acquireSync({ timeout: patience(10_000) });
    assertEquals(guard.value, { changes: 0 });
    guard.release();
    for (const end of [sender, client, byName, replies, oneShot, socket, ...another]) end.close();
    assertEquals((await soon(loans.recv())).length, 1);
  });
}
