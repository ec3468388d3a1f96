// Workers end without a word; here their descriptors must be closed as those of a killed process are.
import { assertEquals } from "@std/assert";
import { channel, IpcOneShotServer, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { patience, START } from "../support/patience.ts";
import { processTest } from "../support/test.ts";
import { Threads } from "../support/threads.ts";

/** Receives nothing and stays; its sender and receiver are open. */
export async function stayOpen(
  { sender, receiver }: { sender: IpcSender<string>; receiver: IpcReceiver<string> },
): Promise<void> {
  await sender.send("here");
  await receiver.recv(); // nothing comes
}

processTest("A Worker that is terminated is a dead peer, for receiving and for sending", async () => {
  const threads = new Threads();
  const [out, receiver] = channel<string>();
  const [sender, back] = channel<string>();
  await threads.start(import.meta.url, stayOpen, { sender, receiver });
  sender.close();
  assertEquals(await soon(back.recv()), "here");
  const pending = assertIpcError("Disconnected", () => back.recv());
  await threads.end();
  await soon(pending);
  await soon(assertIpcError("Disconnected", async () => {
    for (;;) {
      await out.send("anybody there?");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }));
  out.close(), back.close();
}, "the pipe that Deno itself listened on for the Worker stays open until the process ends");

/** Opens and closes many channels, so that numbers of descriptors are used again, keeps one, and stays. */
export async function churn({ sender }: { sender: IpcSender<string> }): Promise<void> {
  for (let n = 0; n < 200; n++) {
    const ends = channel<number>({ capacity: 65_536 });
    for (const end of ends) end.close();
  }
  const [kept] = channel<number>({ capacity: 65_536 });
  await sender.send("done");
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
  kept.close();
}

processTest(
  "A terminated Worker closes its own descriptors, and no other that has got one of their numbers",
  async () => {
    const before = descriptorsOf("self").length;
    const threads = new Threads();
    const [sender, receiver] = channel<string>();
    await threads.start(import.meta.url, churn, { sender });
    sender.close();
    assertEquals(await soon(receiver.recv()), "done");
    // Numbers that the Worker had, and closed, are ours now.
    const ours = Array.from({ length: 20 }, () => channel<number>({ capacity: 65_536 }));
    const pending = assertIpcError("Disconnected", () => receiver.recv());
    await threads.end();
    await soon(pending);
    for (const [n, [to, from]] of ours.entries()) {
      to.sendSync(n);
      assertEquals(await soon(from.recv()), n);
      to.close(), from.close();
    }
    receiver.close();
    for (let turn = 0; turn < 100 && descriptorsOf("self").length > before + 4; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (descriptorsOf("self").length > before + 4) throw new Error(`${descriptorsOf("self").length}, ${before} before`);
  },
);

processTest("An endpoint reaches a Worker through a one-shot server whose name came by postMessage", async () => {
  const mod = new URL("../../mod.ts", import.meta.url).href;
  const code = `
    import { channel, IpcSender } from ${JSON.stringify(mod)};
    onmessage = async ({ data }) => {
      const hello = IpcSender.connect(data);
      const [sender, receiver] = channel();
      hello.sendSync(sender);
      sender.close();
      const { answers } = await receiver.recv();
      await answers.send("from the Worker");
      for (const end of [hello, receiver, answers]) end.close();
    };`;
  using server = new IpcOneShotServer<IpcSender<unknown>>();
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(code)}`, { type: "module" });
  worker.postMessage(server.name);
  const [first, inbox] = await server.accept({ timeout: START });
  const [answers, received] = channel<string>();
  inbox.sendSync({ answers });
  answers.close();
  assertEquals(await soon(received.recv()), "from the Worker");
  await soon(assertIpcError("Disconnected", () => received.recv()));
  for (const end of [first, inbox, received]) end.close();
  worker.terminate();
  await new Promise((resolve) => setTimeout(resolve, 0));
});
