import { assert, assertEquals } from "@std/assert";
import { IpcReceiver, IpcSender } from "../../../mod.ts";
import { passWithKills } from "./kills.ts";
import { bridgeTest, PATIENCE } from "./machines.ts";

const SOON = { timeout: PATIENCE };

bridgeTest("A value goes through a queue into a channel of another machine, also a large one", async (machines) => {
  const server = await machines.server();
  const near = `${machines.folder}/near`, far = `${machines.folder}/far`;
  const bridges = [
    await machines.bridge(server, "send", near, "jobs", "--capacity", "8388608"),
    await machines.bridge(server, "receive", "jobs", far, "--capacity", "8388608"),
  ];
  using sender = IpcSender.open<unknown>(near);
  using receiver = IpcReceiver.create<unknown>(far);
  await sender.send({ job: 1, at: new Date(0), ids: new Set([1n]) });
  assertEquals(await receiver.recv(SOON), { job: 1, at: new Date(0), ids: new Set([1n]) });
  const large = crypto.getRandomValues(new Uint8Array(50_000));
  for (let i = 0; i < 3; i++) {
    const bytes = new Uint8Array(5_000_000);
    for (let at = 0; at < bytes.length; at += large.length) bytes.set(large, at);
    await sender.send({ i, bytes });
    await sender.send({ i });
    assertEquals(await receiver.recv(SOON), { i, bytes });
    assertEquals(await receiver.recv(SOON), { i });
  }
  for (const bridge of bridges) assertEquals(await bridge.end("SIGTERM"), 0);
});

bridgeTest(
  "Many channels into one: each one's order is kept, and nothing is lost or doubled by kills",
  async (machines) => {
    const server = await machines.server();
    const far = `${machines.folder}/far`, near = [1, 2].map((i) => `${machines.folder}/near-${i}`);
    const bridges = [await machines.bridge(server, "receive", "jobs", far)];
    for (const path of near) bridges.push(await machines.bridge(server, "send", path, "jobs"));
    const { kills } = await passWithKills(near, far, 10_000, bridges, 6, 100);
    assert(kills >= 6);
  },
);
