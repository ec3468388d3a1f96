// Deno's side of the tests of topics.
import { IpcBytesPublisher, IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

interface Numbered {
  n: number;
  fill: string;
}

export const topics: Record<string, Scenario> = {
  "publish"(self, [name, count, kind]) {
    using topic = kind === "bytes"
      ? IpcBytesPublisher.open(name, { capacity: 65_536 })
      : IpcPublisher.open<unknown>(name, { capacity: 65_536 });
    self.say();
    self.hear();
    for (let n = 0; n < count; n++) topic.publish((kind === "bytes" ? new Uint8Array(8).fill(n) : { n }) as never);
    self.say();
    self.hear();
  },
  async "subscribe"(self, [name, count]) {
    using topic = IpcSubscriber.open<{ n: number }>(name);
    self.say();
    const seen = [];
    for await (const value of topic) if (seen.push(value.n) === count) break;
    self.say([seen, topic.missed]);
    self.hear();
  },
  /** Does not read before everything was published. */
  "subscribe-late"(self, [name]) {
    using topic = IpcSubscriber.open<Numbered>(name);
    self.say();
    self.hear();
    const seen = [];
    for (let found = topic.tryRecv(); found.state === "message"; found = topic.tryRecv()) seen.push(found.value.n);
    self.say([seen, topic.missed]);
    self.hear();
  },
  async "publish-until-killed"(self, [name]) {
    using topic = IpcPublisher.open<Numbered>(name, { capacity: 65_536 });
    self.say();
    for (let n = 0;; n++) {
      topic.publish({ n, fill: "x".repeat(n % 3000) });
      if (n % 64 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
  },
  /** Receives from publishers that are killed, until one says so; says how many messages came. */
  "subscribe-to-killed"(self, [name]) {
    using topic = IpcSubscriber.open<Numbered>(name);
    self.say();
    for (let count = 0;; count++) {
      const { n, fill } = topic.recvSync({ timeout: 120_000 });
      if (n < 0) return void self.say([count, topic.missed]);
      if (fill !== "x".repeat(n % 3000)) throw new Error(`message ${n} has ${fill.length} characters`);
    }
  },
};
