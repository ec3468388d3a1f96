// A test of a user's, with every sanitizer on, in a process of its own: there nothing has been opened before.
import { assertEquals } from "@std/assert";
import { folderTest } from "../support/folder.ts";

const MODULE = new URL("../../mod.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

folderTest(
  "A test that uses the package and closes what it opens passes with all sanitizers",
  async (folder, { spawn }) => {
    const program = `${folder.path}/user_test.ts`;
    Deno.writeTextFileSync(
      program,
      `import { channel, duplex, IpcArc, IpcServer, recvFds, sendFds, UnixSocket } from ${JSON.stringify(MODULE)};
const sanitizers = { sanitizeOps: true, sanitizeResources: true, sanitizeExit: true };
Deno.test({ name: "channel", ...sanitizers, async fn() {
  const [sender, receiver] = channel();
  using _s = sender, _r = receiver;
  const received = receiver.recv();
  await sender.send("x");
  await received;
  await receiver.recv({ timeout: 1 }).catch(() => {});
} });
Deno.test({ name: "server", ...sanitizers, async fn() {
  using server = new IpcServer();
  const accepted = server.accept();
  using client = IpcServer.connect(server.name);
  using served = await accepted;
  await client.send(1);
  await served.recv();
  const [left, right] = duplex();
  left.close(), right.close();
} });
Deno.test({ name: "cell", ...sanitizers, async fn() {
  using cell = IpcArc.create("isthmus-test-" + crypto.randomUUID(), 1);
  await cell.update((value) => value + 1);
} });
Deno.test({ name: "descriptors", ...sanitizers, async fn() {
  const [a, b] = UnixSocket.pair();
  using _a = a, _b = b;
  const received = recvFds(b, 10);
  await new Promise((resolve) => setTimeout(resolve, 2));
  await sendFds(a, new Uint8Array(1), [0]);
  for (const fd of (await received).fds) fd.close();
  await recvFds(b, 10, { timeout: 1 }).catch(() => {});
} });
`,
    );
    const child = spawn(["test", "-A", "--quiet", "--no-check", `--config=${CONFIG}`, program]);
    const text = await child.text();
    assertEquals((await child.status).code, 0, text);
  },
);
