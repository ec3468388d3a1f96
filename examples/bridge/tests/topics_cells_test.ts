import { assertEquals } from "@std/assert";
import { IpcArc, IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { bridgeTest, PATIENCE, until } from "./machines.ts";

bridgeTest("A topic is heard on other machines", async (machines) => {
  const server = await machines.server();
  const topics = ["here", "there", "elsewhere"].map((name) => `${machines.folder}/${name}`);
  using publisher = IpcPublisher.open<{ n: number; text: string }>(topics[0]!);
  await machines.bridge(server, "publish", topics[0]!, "news.local");
  const far = topics.slice(1);
  for (const topic of far) await machines.bridge(server, "subscribe", "news.local", topic);
  const subscribers = far.map((topic) => IpcSubscriber.open<{ n: number; text: string }>(topic));
  await until("the first one is heard everywhere", () => {
    publisher.publish({ n: -1, text: "are you there?" });
    return subscribers.every((subscriber) => subscriber.tryRecv().state === "message");
  });
  for (let n = 0; n < 100; n++) publisher.publish({ n, text: "häppening" });
  for (const subscriber of subscribers) {
    const heard: number[] = [];
    while (heard.length < 100) {
      const { n } = await subscriber.recv({ timeout: PATIENCE });
      if (n >= 0) heard.push(n);
    }
    assertEquals(heard, Array.from({ length: 100 }, (_, n) => n));
    subscriber.close();
  }
});

bridgeTest("A cell is mirrored on another machine, also over an outage of the server", async (machines) => {
  const server = await machines.server();
  const id = crypto.randomUUID(), here = `bridge-here-${id}`, there = `bridge-there-${id}`;
  using cell = IpcArc.create<{ limit: number; at: Date }>(here, { limit: 1, at: new Date(5) });
  const store = await machines.bridge(server, "store", here, "config", "limits.web");
  const mirroring = await machines.bridge(server, "mirror", "config", "limits.web", there);
  let mirror: IpcArc<{ limit: number; at: Date }> | undefined;
  await until("the mirror is made", () => {
    try {
      mirror = IpcArc.load(there);
      return true;
    } catch {
      return false;
    }
  });
  machines.onEnd(() => Promise.resolve(mirror!.close()));
  assertEquals(mirror!.read(), { limit: 1, at: new Date(5) });
  await server.kill();
  await cell.update((value) => ({ ...value, limit: 2 }));
  await server.start();
  await until("the change is there", () => mirror!.read().limit === 2);
  for (let limit = 3; limit <= 100; limit++) await cell.update((value) => ({ ...value, limit }));
  await until("the last change is there", () => mirror!.read().limit === 100);
  // While the cells are held here as well: what a killed last holder leaves would stay.
  assertEquals([await store.end("SIGTERM"), await mirroring.end("SIGTERM")], [0, 0]);
});
