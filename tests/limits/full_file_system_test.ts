// Named channels and cells where the file system is full: an error, not a SIGBUS, and nothing is lost.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { IpcBytesReceiver, IpcBytesSender, IpcError, IpcReceiver, IpcSender } from "../../mod.ts";
import { mayContain } from "../support/processes.ts";

const MOUNT = ["--mount", "--propagation", "private"];
const possible = mayContain(MOUNT);
if (!possible) console.log("The tests of full file systems are ignored: they need root, and unshare");

/** Runs a function of this module with a file system of its own of 1 MiB. */
function fullTest(name: string, run: string, ...args: unknown[]): void {
  Deno.test({
    name,
    ignore: !possible,
    async fn() {
      const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
      try {
        const config = new URL("../../deno.json", import.meta.url).pathname;
        const code = `import { ${run} } from ${JSON.stringify(import.meta.url)};
          await ${run}(${[folder, ...args].map((arg) => JSON.stringify(arg)).join(", ")});`;
        const script = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"';
        const { code: exit, signal, stderr } = await new Deno.Command("unshare", {
          args: [
            ...MOUNT,
            "sh",
            "-c",
            script,
            "sh",
            folder,
            Deno.execPath(),
            "eval",
            "--quiet",
            "--config",
            config,
            code,
          ],
          stderr: "piped",
        }).output();
        assertEquals([exit, signal], [0, null], new TextDecoder().decode(stderr));
      } finally {
        Deno.removeSync(folder, { recursive: true });
      }
    },
  });
}

const full = (error: unknown): boolean => {
  if (!(error instanceof IpcError) || error.code !== "System" || error.errno !== 28) throw error;
  assertStringIncludes(error.message, "no room");
  return true;
};

type Way = "sendSync" | "trySend" | "send" | "reserve";

/** Fills the file system by messages, makes room, and goes on: all that was sent arrives, in its order. */
export async function fill(folder: string, way: Way, length: number, capacity?: number): Promise<void> {
  const path = `${folder}/jobs`;
  using receiver = IpcBytesReceiver.create(path, capacity === undefined ? {} : { capacity });
  using sender = IpcBytesSender.open(path);
  let sent = 0, received = 0;
  const message = () => new Uint8Array(length).fill(sent & 0xff);
  const put = async (): Promise<void> => {
    if (way === "sendSync") sender.sendSync(message(), { timeout: 20 });
    else if (way === "trySend") {
      if (!sender.trySend(message())) throw new IpcError("Timeout", "full");
    } else if (way === "send") await sender.send(message(), { timeout: 20 });
    else {
      using loan = sender.reserveSync(length, { timeout: 20 });
      loan.bytes.set(message());
      loan.commit();
    }
    sent++;
  };
  const fillUp = async (): Promise<void> => {
    for (let i = 0; i < 100_000; i++) {
      try {
        await put();
      } catch (error) {
        full(error);
        return;
      }
    }
    throw new Error("It never was full");
  };
  const take = (count: number): void => {
    for (; count > 0; count--) {
      const bytes = receiver.recvSync({ timeout: 0 });
      assertEquals([bytes.length, bytes[0], bytes[length - 1]], [length, received & 0xff, received & 0xff]);
      received++;
    }
  };
  await fillUp();
  // Several times in a row, and for other lengths, it is the same, and harmless.
  for (let i = 0; i < 3; i++) await put().then(() => assert(false, "it was full"), full);
  assertEquals(Deno.statSync(path).size > 1 << 20, true);
  // What else lies there makes it full, too. When that is gone, it goes on.
  take(3);
  const before = sent;
  // Its pages at the beginning of the ring are there already: it goes on in them, until the ring itself is full.
  await fillUp().catch((error) => assertEquals(error.code, "Timeout"));
  take(sent - received);
  assertEquals(receiver.tryRecv().state, "empty");
  for (let round = 0; round < 50; round++) {
    await put();
    take(1);
  }
  assert(sent > before);
}

/** Room that somebody else took and gives back. */
export async function others(folder: string): Promise<void> {
  const path = `${folder}/jobs`;
  using receiver = IpcReceiver.create<string>(path);
  using sender = IpcSender.open<string>(path);
  sender.sendSync("first");
  try {
    Deno.writeFileSync(`${folder}/other`, new Uint8Array(1 << 20));
  } catch {
    // as much as there is
  }
  const large = "x".repeat(300_000);
  for (let i = 0; i < 2; i++) {
    try {
      sender.sendSync(large);
      throw new Error("There was no room");
    } catch (error) {
      full(error);
    }
  }
  await sender.send(large).then(() => assert(false), full);
  Deno.removeSync(`${folder}/other`);
  await sender.send(large);
  sender.sendSync("last");
  assertEquals([receiver.recvSync(), receiver.recvSync(), receiver.recvSync()], ["first", large, "last"]);
  sender.close();
}

/** There is no room for a channel at all. */
export function none(folder: string): void {
  try {
    Deno.writeFileSync(`${folder}/other`, new Uint8Array(1 << 20));
  } catch {
    // as much as there is
  }
  for (const open of [() => IpcReceiver.create(`${folder}/jobs`), () => IpcSender.open(`${folder}/jobs`)]) {
    try {
      open().close();
      throw new Error("There was no room");
    } catch (error) {
      assertEquals((error as IpcError).errno, 28, String(error));
    }
  }
  assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["other"]);
  Deno.removeSync(`${folder}/other`);
  using receiver = IpcReceiver.create<number>(`${folder}/jobs`);
  using sender = IpcSender.open<number>(`${folder}/jobs`);
  sender.sendSync(1);
  assertEquals(receiver.recvSync(), 1);
  sender.close();
}

for (const way of ["sendSync", "trySend", "send", "reserve"] as const) {
  for (const length of [64, 5000, 100_000]) {
    fullTest(
      `${way}() of ${length} bytes into a full file system is an error, and nothing is lost`,
      "fill",
      way,
      length,
    );
  }
}
fullTest(
  "A channel much larger than its file system is filled as far as there is room",
  "fill",
  "sendSync",
  1000,
  1 << 23,
);
fullTest("A send works once another has given room back", "others");
fullTest("A channel that there is no room for leaves nothing", "none");
