// Deno's side of the tests of channels whose sender is sent away before anything else: they begin without a ring.
import {
  bytesChannel,
  channel,
  type IpcDuplex,
  type IpcError,
  IpcFd,
  type IpcReceiver,
  IpcServer,
} from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

// deno-lint-ignore no-explicit-any -- whatever the test sends
type Any = any;

/** Asks, with a channel for the answer. */
async function ask<T>(line: IpcDuplex<Any, Any>, question: unknown): Promise<IpcReceiver<T>> {
  const [reply, answers] = channel<T>();
  await line.send({ question, reply });
  reply.close();
  return answers;
}

/** What comes, until the other side is gone. */
async function allOf<T>(answers: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const answer of answers) found.push(answer);
  return found;
}

export const ringless: Record<string, Scenario> = {
  /** Asks one question after the other, each answered once; receives in one way or another. */
  async "ask-once"(self, [name, count]) {
    using line = IpcServer.connect<Any, Any>(name);
    let right = 0;
    for (let i = 0; i < count; i++) {
      using answers = await ask<number>(line, i);
      const sleeps = i % 8 === 7;
      if (sleeps) await new Promise((resolve) => setTimeout(resolve, 3)); // the answer waits for its receiver
      const found = i % 4 < 2 ? await answers.recv({ timeout: 60_000 }) : answers.recvSync({ timeout: 60_000 });
      if (found === 2 * i) right++;
    }
    self.say(right);
  },
  /** Many questions at once. */
  async "ask-together"(self, [name, count]) {
    using line = IpcServer.connect<Any, Any>(name);
    const answers: IpcReceiver<number>[] = [];
    for (let i = 0; i < count; i++) answers.push(await ask(line, i));
    const found = await Promise.all(answers.map((one) => one.recv({ timeout: 60_000 })));
    self.say(found.every((value, i) => value === 2 * i));
    for (const one of answers) one.close();
  },
  /** All answers to each of these questions, as lengths or as they are. */
  async "ask-for-many"(self, [name, questions, how]) {
    using line = IpcServer.connect<Any, Any>(name);
    for (const question of questions) {
      using answers = await ask<Any>(line, question);
      const found: Any[] = [];
      if (how === "await") found.push(...await allOf(answers));
      else {
        try {
          for (;;) found.push(answers.recvSync({ timeout: 60_000 }));
        } catch (error) {
          if ((error as IpcError).code !== "Disconnected") throw error;
        }
      }
      self.say(found.map((value) => typeof value === "string" && value.length > 100 ? value.length : value));
    }
  },
  /** The same in byte strings. */
  async "ask-for-bytes"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    const [reply, answers] = bytesChannel();
    await line.send({ question: "bytes", reply });
    reply.close();
    self.say((await allOf(answers)).map((bytes) => bytes.length));
  },
  /** Answers with descriptors: the sender itself, a pipe, a channel. */
  async "ask-for-descriptors"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    using answers = await ask<Any>(line, "descriptors");
    const found = await answers.recv({ timeout: 60_000 });
    const text = new Uint8Array(100);
    self.say(found.fd instanceof IpcFd && new TextDecoder().decode(text.subarray(0, (await found.fd.read(text))!)));
    await found.itself.send("by a clone that went round");
    self.say(await answers.recv({ timeout: 60_000 }));
    await found.words.send("into the channel that came");
    self.hear();
    for (const end of [found.fd, found.itself, found.words]) end.close();
    self.say(await allOf(answers));
  },
  /** Makes the ring before anything is answered, or after the first: the receiver is sent away, or its own sender used. */
  async "grow-first"(self, [name, how]) {
    using line = IpcServer.connect<Any, Any>(name);
    const [reply, answers] = channel<Any>();
    await line.send({ question: how, reply });
    if (how.endsWith("posted")) self.hear();
    if (how.startsWith("sent away")) {
      await line.send({ answers });
      reply.close();
      self.hear();
    } else {
      await reply.send("its own");
      reply.close();
      self.say();
      self.say((await allOf(answers)).toSorted());
    }
  },
  /** Asks, then says how it ended: the answers that came, and the code of the error. */
  async "ask-the-dying"(self, [name, sync]) {
    using line = IpcServer.connect<Any, Any>(name);
    using answers = await ask<Any>(line, 0);
    self.say();
    const found: Any[] = [];
    try {
      for (;;) found.push(sync ? answers.recvSync({ timeout: 60_000 }) : await answers.recv({ timeout: 60_000 }));
    } catch (error) {
      self.say([found, (error as IpcError).code]);
    }
  },
  /** Asks, and does not wait for the answer: closes its end, or is killed. */
  async "ask-in-vain"(self, [name, how]) {
    using line = IpcServer.connect<Any, Any>(name);
    const answers = await ask(line, 0);
    if (how === "close") answers.close();
    self.say();
    self.hear();
    self.hear();
  },
  /** Asks until nobody answers any more: question n is answered n % 4 times, the last ones perhaps fewer. */
  async "ask-until-killed"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    self.say();
    let wrong = 0, lacking = 0, n = 0;
    for (;; n++) {
      try {
        using answers = await ask<[number, number]>(line, n);
        const found = await allOf(answers);
        if (found.some(([question, i], at) => question !== n || i !== at) || found.length > n % 4) wrong++;
        if (found.length < n % 4) lacking++;
      } catch (error) {
        if ((error as IpcError).code !== "Disconnected") throw error;
        break;
      }
    }
    self.say([wrong, lacking <= 2]); // what was answered, and what was sent when nobody took questions any more
  },
  /** Is given its own sender back, by way of Python. */
  async "passed-on"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    using answers = await ask<Any>(line, "passed on");
    const { reply } = await line.recv();
    await reply.send("round");
    reply.close();
    self.say(await allOf(answers));
  },
};
