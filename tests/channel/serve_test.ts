// Programs that `deno serve` runs: on several threads, and again when their file changes.
import { assert, assertEquals } from "@std/assert";
import { IpcReceiver, IpcServer } from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { folderTest } from "../support/folder.ts";
import { START } from "../support/patience.ts";

const MODULE = new URL("../../mod.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** A port that nobody uses now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Asks a server until it answers. */
async function ask(port: number): Promise<string> {
  const deadline = performance.now() + START;
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
      return await response.text();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

folderTest(
  "Every thread of deno serve --parallel sends to one receiver, and is a client of one server",
  async (folder, { spawn }) => {
    const program = `${folder.path}/serve.ts`;
    Deno.writeTextFileSync(
      program,
      `import { IpcSender, IpcServer } from ${JSON.stringify(MODULE)};
const requests = IpcSender.open(${JSON.stringify(folder.channel)});
const asking = IpcServer.connect(${JSON.stringify(`${folder.path}/server`)});
const thread = crypto.randomUUID();
export default {
  async fetch() {
    await requests.send(thread);
    await asking.send(thread);
    return new Response(String(await asking.recv()));
  },
};
`,
    );
    const receiver = IpcReceiver.create<string>(folder.channel);
    const server = new IpcServer<number, string>({ path: `${folder.path}/server` });
    let answered = 0;
    const serving = (async () => {
      const running: Promise<void>[] = [];
      for await (const client of server) running.push(client.run(() => ++answered).finally(() => client.close()));
      await Promise.all(running);
    })();
    const port = freePort();
    const args = ["serve", "-A", "--quiet", "--no-check", `--config=${CONFIG}`, "--parallel", `--port=${port}`];
    const child = spawn([...args, "--host=127.0.0.1", program], { DENO_JOBS: "3" });
    const threads = new Set<string>();
    const deadline = performance.now() + START;
    let asked = 0;
    while (threads.size < 3) {
      assert(performance.now() < deadline, `${threads.size} of 3 threads answered`);
      assertEquals(Number(await soon(ask(port))), ++asked);
      threads.add(await soon(receiver.recv()));
    }
    await child.end();
    server.close();
    await soon(serving);
    receiver.close();
  },
);

folderTest(
  "A program under deno serve --watch opens its server and its named receiver again",
  async (folder, { spawn }) => {
    const program = `${folder.path}/serve.ts`;
    const load = (version: number) =>
      Deno.writeTextFileSync(
        program,
        `import { IpcReceiver, IpcServer } from ${JSON.stringify(MODULE)};
const receiver = IpcReceiver.create(${JSON.stringify(folder.channel)});
const server = new IpcServer({ path: ${JSON.stringify(`${folder.path}/server`)} });
(async () => { for await (const client of server) client.sendSync(${version}); })();
export default { fetch: () => new Response(String(${version})) };
`,
      );
    load(1);
    const port = freePort();
    const args = ["serve", "-A", "--quiet", "--no-check", `--config=${CONFIG}`, "--watch", `--port=${port}`];
    const child = spawn([...args, "--host=127.0.0.1", program]);
    for (let version = 1; version <= 3; version++) {
      if (version > 1) load(version);
      const deadline = performance.now() + START;
      for (let asked = 1; await soon(ask(port)) !== String(version); asked++) {
        assert(performance.now() < deadline, `version ${version} never answered`);
        if (asked % 50 === 0) load(version); // Deno misses a change while it loads
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const client = IpcServer.connect<string, number>(`${folder.path}/server`);
      assertEquals(await soon(client.recv()), version);
      load(version + 10);
      await assertIpcError("Disconnected", () => soon(client.recv()));
      client.close();
    }
    await child.end();
  },
);
