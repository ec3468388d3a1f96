// Two network namespaces, with a cable between them, as two machines: what they share is what goes over the cable.
import { assertEquals } from "@std/assert";
import { IpcReceiver, IpcSender } from "../../../mod.ts";
import { bridgeTest, type Machines, PATIENCE } from "./machines.ts";

const SERVER = "10.213.77.1", OTHER = "10.213.77.2";

function ip(...args: string[]): boolean {
  try {
    return new Deno.Command("ip", { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Makes two namespaces and connects them; `undefined` where that is not allowed. */
function network(machines: Machines): [string, string] | undefined {
  const id = crypto.randomUUID().slice(0, 6), names: [string, string] = [`isthmus-a-${id}`, `isthmus-b-${id}`];
  machines.onEnd(() => {
    for (const name of names) ip("netns", "del", name);
    return Promise.resolve();
  });
  const [a, b] = names, ends = [`a${id}`, `b${id}`] as const;
  const made = ip("netns", "add", a) && ip("netns", "add", b) &&
    ip("-n", a, "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", b) &&
    ip("-n", a, "addr", "add", `${SERVER}/30`, "dev", ends[0]) &&
    ip("-n", b, "addr", "add", `${OTHER}/30`, "dev", ends[1]) &&
    ip("-n", a, "link", "set", ends[0], "up") && ip("-n", b, "link", "set", ends[1], "up");
  for (const name of names) ip("-n", name, "link", "set", "lo", "up"); // which a machine's own address needs
  return made ? names : undefined;
}

bridgeTest("Between two network namespaces, also when the cable is out for a while", async (machines) => {
  const names = network(machines);
  if (names === undefined) {
    console.log("skipped: network namespaces may not be made here");
    return;
  }
  const [a, b] = names.map((name) => ["ip", "netns", "exec", name]) as [string[], string[]];
  const server = machines.prepareServer(["-js", "-sd", `${machines.folder}/nats`], a, SERVER);
  await server.start();
  const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
  const send = machines.prepare(["send", near, "jobs", "--server", server.url], b);
  const receive = machines.prepare(["receive", "jobs", far, "--server", server.url], a);
  for (const bridge of [send, receive]) await bridge.startPatiently();
  using sender = IpcSender.open<number>(near);
  using receiver = IpcReceiver.create<number>(far);
  let received = 0;
  const pass = async (count: number) => {
    const from = received;
    const sending = (async () => {
      for (let n = from; n < from + count; n++) await sender.send(n, { timeout: PATIENCE });
    })();
    for (; received < from + count; received++) {
      assertEquals(await receiver.recv({ timeout: PATIENCE }), received);
    }
    await sending;
  };
  await pass(1000);
  const cable = `a${names[0].slice(-6)}`;
  ip("-n", names[0], "link", "set", cable, "down");
  const passing = pass(2000);
  await new Promise((resolve) => setTimeout(resolve, 3000)); // the outage itself, not a wait for something
  ip("-n", names[0], "link", "set", cable, "up");
  await passing;
});
