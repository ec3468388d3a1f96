import { assert, assertEquals } from "@std/assert";
import { IpcReceiver, IpcSender } from "../../../mod.ts";
import { bridgeTest, freePort, type Machines, PATIENCE, until } from "./machines.ts";

const SOON = { timeout: PATIENCE };

/** Receives so many numbers, which must come in order. */
async function receiveInOrder(receiver: IpcReceiver<{ n: number }>, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) assertEquals((await receiver.recv(SOON)).n, n);
}

bridgeTest("While the server is away senders wait for room, and nothing is lost or doubled", async (machines) => {
  const server = await machines.server();
  const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
  const bridges = [
    await machines.bridge(server, "send", near, "jobs", "--capacity", "65536"),
    await machines.bridge(server, "receive", "jobs", far),
  ];
  using sender = IpcSender.open<{ n: number }>(near);
  using receiver = IpcReceiver.create<{ n: number }>(far);
  let sent = 0;
  for (; sent < 500; sent++) await sender.send({ n: sent }, SOON);
  await receiveInOrder(receiver, 0, 400);
  await server.kill();
  await until("the ring is full", () => {
    while (sender.trySend({ n: sent })) sent++;
    return sender.backlog > 60_000;
  });
  // Longer than an answer is waited for, so that everything has failed once.
  await until("the bridge says so", () => bridges[0]!.said.includes("is tried again"));
  const before = sent;
  const sending = (async () => {
    for (; sent < before + 500; sent++) await sender.send({ n: sent }, SOON);
  })();
  await server.start();
  await receiveInOrder(receiver, 400, before + 500);
  await sending;
  assertEquals(receiver.recvMany(), []);
  await until("the bridge says so", () => bridges[0]!.said.includes("works again"));
  for (const bridge of bridges) assertEquals(await bridge.end("SIGTERM"), 0);
});

/** Three servers that keep three copies. */
async function cluster(machines: Machines) {
  const ports = [freePort(), freePort(), freePort()];
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(",");
  const servers = ports.map((port, i) =>
    machines.prepareServer(
      ["-js", "-sd", `${machines.folder}/nats-${i}`, "-n", `s${i}`, "--cluster_name", "isthmus"].concat(
        ["--cluster", `nats://127.0.0.1:${port}`, "--routes", routes],
      ),
    )
  );
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

bridgeTest("Of a cluster of three any one may be killed", async (machines) => {
  const servers = await cluster(machines);
  const all = { url: servers.map(({ url }) => url).join(",") };
  const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
  await machines.bridge(all, "send", near, "jobs", "--replicas", "3");
  await machines.bridge(all, "receive", "jobs", far, "--replicas", "3");
  using sender = IpcSender.open<{ n: number }>(near);
  using receiver = IpcReceiver.create<{ n: number }>(far);
  let sent = 0, ended = false;
  const sending = (async () => {
    for (; !ended; sent++) {
      await sender.send({ n: sent }, SOON);
      if (sent % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  let received = 0;
  const more = async (count: number) => {
    await receiveInOrder(receiver, received, received + count);
    received += count;
  };
  await more(2000);
  for (const server of servers) {
    await server.kill();
    await more(2000);
    await server.start();
    await more(2000);
  }
  ended = true;
  await sending;
  await receiveInOrder(receiver, received, sent);
  assert(sent >= 14_000);
});
