// Deno's side of the tests of named channels.
import { IpcBytesReceiver, IpcBytesSender, type IpcError, IpcReceiver, IpcSender } from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

/** What a message of a number looks like, so that it is seen whether it is whole. */
export function pattern(n: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (n + i) & 255;
  return bytes;
}

export const channels: Record<string, Scenario> = {
  "send-values"(self, [path, count]) {
    using sender = IpcSender.open(path);
    self.say();
    for (let i = 0; i < count; i++) sender.sendSync({ i, text: "x".repeat(i % 200) });
    self.say();
    self.hear();
  },
  "recv-values"(self, [path, count]) {
    using receiver = IpcReceiver.create<{ i: number; text: string }>(path);
    self.say();
    for (let i = 0; i < count; i++) {
      const { i: n, text } = receiver.recvSync();
      if (n !== i || text.length !== i % 200) throw new Error(`${n} in the place of ${i}`);
    }
    self.say();
    self.hear();
  },
  "send-bytes"(self, [path, sizes]) {
    using sender = IpcBytesSender.open(path);
    self.say();
    self.hear();
    for (const [i, size] of sizes.entries()) sender.sendSync(pattern(i, size));
    self.say();
    self.hear();
  },
  /** Says the sizes of what comes, and that each is as it should be. */
  "recv-bytes"(self, [path, count]) {
    using receiver = IpcBytesReceiver.create(path);
    self.say();
    const sizes: number[] = [];
    for (let i = 0; i < count; i++) {
      const bytes = receiver.recvSync();
      sizes.push(bytes.every((byte, at) => byte === ((i + at) & 255)) ? bytes.length : -1);
    }
    self.say(sizes);
    self.hear();
  },
  /** Sends everything back, as it was understood. */
  async "echo-values"(self, [path]) {
    using receiver = IpcReceiver.create<unknown>(path);
    using sender = IpcSender.open<unknown>(`${path}.back`);
    self.say();
    for await (const value of receiver) {
      if (value === "end") break;
      sender.sendSync(value);
    }
  },
  /** Receives from senders that are killed: each says its run and a number; says the runs and how many came of each. */
  "recv-from-killed"(self, [path]) {
    using receiver = IpcReceiver.create<{ run: number; n: number; fill: string }>(path);
    self.say();
    const next: number[] = [];
    for (;;) {
      const { run, n, fill } = receiver.recvSync({ timeout: 120_000 });
      if (run < 0) break;
      next[run] ??= 0;
      if (n !== next[run] || fill.length !== n % 3000 || fill !== "x".repeat(n % 3000)) {
        throw new Error(`run ${run}: ${n} with ${fill.length} in the place of ${next[run]}`);
      }
      next[run]++;
    }
    self.say(Array.from(next, (count) => count ?? 0));
  },
  /** Sends until it is killed, or told to end by the file being gone. */
  "send-until-killed"(self, [path, run]) {
    using sender = IpcSender.open(path);
    self.say();
    for (let n = 0;; n++) sender.sendSync({ run, n, fill: "x".repeat(n % 3000) });
  },
  /** Fills the channel, then waits for room. */
  "fill"(self, [path, count]) {
    using sender = IpcBytesSender.open(path);
    const message = new Uint8Array(1000);
    let sent = 0;
    while (sender.trySend(message)) sent++;
    self.say(sent);
    for (; sent < count; sent++) sender.sendSync(message);
    self.say(sent);
    self.hear();
  },
  "second-receiver"(self, [path]) {
    try {
      IpcReceiver.create(path).close();
      self.say("received");
    } catch (error) {
      self.say((error as IpcError).code);
    }
  },
};
