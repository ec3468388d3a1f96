import { assert, assertEquals } from "@std/assert";
import { connect } from "@nats-io/transport-node";
import { IpcBytesReceiver, IpcReceiver, IpcSender } from "../../../mod.ts";
import { bridgeTest, PATIENCE, until } from "./machines.ts";

bridgeTest(
  "A shared queue: each message goes to one machine, also if bridges are killed and come back",
  async (machines) => {
    const server = await machines.server();
    const near = `${machines.folder}/near`, fars = ["a", "b"].map((name) => `${machines.folder}/far-${name}`);
    await machines.bridge(server, "send", near, "jobs");
    const bridges = await Promise.all(
      fars.map((far) => machines.bridge(server, "receive", "jobs", far, "--shared", "--ack-wait", "10")),
    );
    using sender = IpcSender.open<number>(near);
    const receivers = fars.map((far) => IpcReceiver.create<number>(far));
    const received: number[][] = [[], []];
    const take = () => receivers.forEach((receiver, i) => received[i]!.push(...receiver.recvMany()));
    const total = () => received.reduce((sum, { length }) => sum + length, 0);
    let sent = 0;
    for (let round = 0; round < 4; round++) {
      const sending = (async () => {
        for (const until = sent + 5000; sent < until; sent++) {
          await sender.send(sent);
          if (sent % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
        }
      })();
      await bridges[round % 2]!.end("SIGKILL");
      await bridges[round % 2]!.start();
      await sending;
      take();
    }
    // What the killed had taken and not begun comes to others when its time is over.
    await until("everything is there", () => (take(), total() >= sent));
    const times = new Map<number, number>();
    for (const n of received.flat()) times.set(n, (times.get(n) ?? 0) + 1);
    assertEquals([...times].filter(([, count]) => count > 1).slice(0, 10), [], "came more than once");
    assertEquals(times.size, sent);
    assert(received.every(({ length }) => length > 0));
    receivers.forEach((receiver) => receiver.close());
  },
);

bridgeTest("One bridge receives alone: another is refused, or takes over and ends the first", async (machines) => {
  const server = await machines.server();
  const far = `${machines.folder}/far`, other = `${machines.folder}/other`;
  const first = await machines.bridge(server, "receive", "jobs", far);
  const args = ["receive", "jobs", other, "--server", server.url];
  const refused = await machines.prepare(args).toItsEnd();
  assertEquals(refused.code, 1);
  assert(refused.said.includes("give --take-over"), refused.said);
  const second = machines.prepare([...args, "--take-over"]);
  await second.start();
  assertEquals((await first.status).code, 1);
  await until("it says why", () => first.said.includes("Another bridge receives from the queue"));
  assertEquals(await second.end("SIGTERM"), 0);
});

bridgeTest("What a program without Isthmus publishes arrives as bytes", async (machines) => {
  const server = await machines.server();
  const far = `${machines.folder}/far`;
  await machines.bridge(server, "receive", "jobs", far);
  using receiver = IpcBytesReceiver.create(far);
  const nats = await connect({ servers: server.url });
  await nats.request("isthmus.queue.jobs.m", '{"plain": true}');
  assertEquals(new TextDecoder().decode(await receiver.recv({ timeout: PATIENCE })), '{"plain": true}');
  await nats.close();
});
