import { assert, assertEquals, assertThrows } from "@std/assert";
import { RingConsumer } from "../../../channel/ring/consumer.ts";
import { createChannel } from "../../../channel/ring/handle.ts";
import { RingProducer } from "../../../channel/ring/producer.ts";
import { SpinBudget } from "../../../channel/ring/spin_budget.ts";
import { SpinHead } from "../../../channel/ring/spin_head.ts";
import { ringBell } from "../../../ffi/event/doorbell.ts";
import { pollUntil } from "../../../ffi/event/poll.ts";
import { POLLIN } from "../../../ffi/libc/platform.ts";
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
} from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { processTest, test } from "../../support/test.ts";
import { patience } from "../../support/patience.ts";

type Message = { n: number; text: string };
interface Table {
  readonly pings: IpcReceiver<Message>;
  readonly pongs: IpcSender<Message>;
}

interface Asking {
  readonly asks: IpcBytesSender;
  readonly answers: IpcBytesReceiver;
}
interface Echoing {
  readonly asks: IpcBytesReceiver;
  readonly answers: IpcBytesSender;
}

export async function answerAsync({ pings, pongs }: Table): Promise<void> {
  for await (const { n, text } of pings) await pongs.send({ n: -n, text });
}

export function answerSync({ pings, pongs }: Table): void {
  for (let left = 2000; left > 0; left--) {
    const { n, text } = pings.recvSync({ timeout: patience(20_000) });
    pongs.sendSync({ n: -n, text });
  }
}

for (const partner of [answerAsync, answerSync]) {
  for (const blocking of [false, true]) {
    const sides = `${blocking ? "blocking" : "awaiting"} on this side, ${partner.name} on the other`;
    processTest(`channel() carries 2000 messages to another process and back, ${sides}`, async ({ start }) => {
      const [ping, pings] = channel<Message>();
      const [pong, pongs] = channel<Message>();
      const child = await start(import.meta.url, partner, { pings, pongs: pong });
      pong.close();
      for (let n = 1; n <= 2000; n++) {
        const message = { n, text: "x".repeat(n % 700) };
        let answer: Message;
        if (blocking) {
          ping.sendSync(message);
          answer = pongs.recvSync({ timeout: patience(20_000) });
        } else {
          await ping.send(message);
          answer = await pongs.recv();
        }
        assertEquals(answer, { n: -n, text: message.text });
      }
      ping.close();
      assertEquals((await child.status).code, 0, "the other side ends by itself once this sender is gone");
      pongs.close();
    });
  }
}

for (const blocking of [false, true]) {
  const way = blocking ? "recvSync()" : "recv()";
  processTest(`A receiver that may not spin gets every message all the same, by ${way}`, async ({ start }) => {
    const [ping, pings] = channel<Message>();
    const [pong, pongs] = channel<Message>();
    pongs.limitSpins(0);
    const child = await start(import.meta.url, answerAsync, { pings, pongs: pong });
    pong.close();
    for (let n = 1; n <= 300; n++) {
      ping.sendSync({ n, text: "" });
      assertEquals(blocking ? pongs.recvSync({ timeout: patience(20_000) }) : await pongs.recv(), { n: -n, text: "" });
    }
    ping.close();
    assertEquals((await child.status).code, 0);
    pongs.close();
  });
}

test("Polling that is in vain before short sleeps is tried again less and less often", () => {
  const budget = new SpinBudget(1000, 10);
  /** How many short sleeps go by until it polls again. */
  const next = () => {
    for (let n = 1;; n++) {
      budget.inVain(0.01);
      if (budget.polls === 1000) return n;
    }
  };
  assertEquals([next(), next()], [1, 1]);
  const tries = Array.from({ length: 8 }, next);
  assertEquals(tries, [64, 128, 256, 512, 1024, 1024, 1024, 1024]);
  budget.paid(0.01);
  assertEquals([next(), next(), next(), next()], [1, 1, 64, 128]);
  budget.paid(0.15); // another process ran meanwhile, on this processor
  assertEquals(budget.polls, 10);
});

test("A wait naps where polling is in vain and sleeps are short, and rests from naps that are in vain", () => {
  const budget = new SpinBudget(1000, 0);
  assert(!budget.naps);
  for (let i = 0; i < 3; i++) budget.inVain(0.01);
  assert(budget.naps);
  budget.napped(0.05);
  assert(budget.naps);
  budget.inVain(50);
  assert(!budget.naps, "messages are rare");
  budget.inVain(0.01);
  assert(budget.naps);
  const rests = Array.from({ length: 12 }, () => {
    budget.napped(undefined);
    let n = 0;
    for (; !budget.naps; n++) budget.inVain(0.01);
    return n;
  });
  assertEquals(rests, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
  budget.napped(0.05);
  budget.napped(undefined);
  assert(budget.naps, "the last one before that was not in vain");
  budget.limit(0);
  assert(!budget.naps);
});

test("A wait does not nap while the isolate awaits something else", async () => {
  const parts = createChannel(65_536), { senderBell } = parts;
  const producer = RingProducer.create(parts.memory, senderBell, parts.senderSocket);
  const consumer = RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket),
    { wait, bell } = consumer;
  // More often than must be, as this process may be kept from running in between.
  const sleepBriefly = () => {
    for (let i = 0; i < 10; i++) wait.begins(), wait.ended();
  };
  const naps = () => {
    ringBell(senderBell.fd);
    assertEquals(wait.spinForNext(), false);
    const heard = pollUntil(bell.fd.fd, POLLIN, 0) === 0;
    bell.clear();
    return heard;
  };
  sleepBriefly();
  assert(naps(), "as nobody awaits anything");
  const [sender, receiver] = channel<number>();
  const other = receiver.recv();
  assert(!naps(), "as another receiver is awaited");
  sender.sendSync(1);
  assertEquals(await other, 1);
  sleepBriefly();
  assert(naps(), "as it is not awaited any more");
  sender.close(), receiver.close(), producer.close(), consumer.close();
});

/** Asks and is answered, on one processor for both if the test says so. */
export async function askOnOneProcessor({ asks, answers }: Asking, self: Self): Promise<void> {
  self.hear();
  for (let n = 1; n <= 3000; n++) {
    const message = new Uint8Array(n % 50 === 0 ? 300_000 : n % 3000).fill(n);
    await asks.send(message);
    const answer = await answers.recv({ timeout: patience(20_000) });
    assertEquals([answer.length, answer[0], answer.at(-1)], [message.length, message[0], message.at(-1)]);
  }
  asks.close();
  await assertIpcError("Disconnected", () => answers.recv({ timeout: patience(20_000) }));
}

export async function echoBytes({ asks, answers }: Echoing, self: Self): Promise<void> {
  self.hear();
  for await (const message of asks) await answers.send(message);
}

processTest("Messages go to and fro between two processes that share one processor", async ({ start }) => {
  const [to, asks] = bytesChannel(), [answers, from] = bytesChannel();
  const echo = await start(import.meta.url, echoBytes, { asks, answers });
  const asker = await start(import.meta.url, askOnOneProcessor, { asks: to, answers: from });
  to.close(), answers.close();
  const children = [echo, asker];
  for (const { pid } of children) shareProcessor(pid);
  for (const child of children) await child.tell();
  for (const child of children) assertEquals((await child.status).code, 0);
});

/** Without `taskset` they go on where they are. */
function shareProcessor(pid: number): void {
  try {
    new Deno.Command("taskset", { args: ["--all-tasks", "--cpu-list", "--pid", "0", `${pid}`] }).outputSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

test("limitSpins() holds whatever spinning would bring, and refuses what is no time", () => {
  const budget = new SpinBudget(1000, 10);
  budget.limit(0);
  for (let i = 0; i < 200; i++) {
    assertEquals(budget.polls, 0);
    if (i % 2 === 0) budget.paid(0);
    else budget.inVain(0.01);
  }
  budget.limit(50);
  budget.paid(0);
  assertEquals(budget.polls, 50);
  const [sender, receiver] = channel<number>();
  for (const bad of [-1, NaN, 10_001, Infinity, "5 µs"]) {
    assertThrows(() => receiver.limitSpins(bad as number), RangeError, "from 0 to 10000");
  }
  sender.close(), receiver.close();
  assertIpcErrorSync("Closed", () => receiver.limitSpins(0));
});

test("A receiver close behind a stream pauses until some messages are there, and stops that when they come alone", () => {
  const head = new SpinHead();
  const come = (count: number, polls: number, ...ahead: number[]) => {
    for (let i = 0; i < count; i++) head.came(polls, ahead[i % ahead.length]!);
    return head.pauses;
  };
  assertEquals(come(1000, 30, 0), 8, "answers of a peer");
  assertEquals(come(3, 2, 0), 8);
  assertEquals(come(1, 30, 0), 8, "in a row only");
  assertEquals(come(3, 2, 0), 8);
  assertEquals(come(1, 2, 0), 16);
  assertEquals(come(2, 0, 1, 2), 64);
  assertEquals(come(5, 0, 4, 8, 16, 20, 24), 512, "the most");
  assertEquals(come(1000, 0, 40), 512, "enough");
  assertEquals(come(2, 0, 100), 128, "more than enough");
  assertEquals(come(20, 0, 100), 16, "the least");
  assertEquals(come(1, 0, 0), 16);
  assertEquals(come(1, 0, 1), 32);
  assertEquals(come(2, 0, 0), 8, "one at a time");
  for (const inRow of [8, 16, 32, 64, 128, 256, 512, 1024, 1024]) {
    assertEquals(come(inRow - 1, 0, 0), 8, "tried less and less often");
    assertEquals(come(1, 0, 0), 16);
    assertEquals(come(2, 0, 0), 8);
  }
});

test("A receiver pauses no longer for messages of which a longer time brings no more", () => {
  const head = new SpinHead();
  for (let i = 0; i < 4; i++) head.came(0, 0);
  head.came(0, 3);
  assertEquals(head.pauses, 32);
  head.came(0, 7);
  assertEquals(head.pauses, 16 * 2 ** 2);
  /** How many messages go by until a longer time is tried again, in vain. */
  const next = () => {
    for (let n = 1;; n++) {
      head.came(0, 7);
      if (head.pauses === 64) return n;
      assertEquals(head.pauses, 32);
    }
  };
  head.came(0, 7);
  assertEquals(head.pauses, 32);
  const tries: number[] = [];
  for (let i = 0; i < 8; i++) {
    tries.push(next());
    head.came(0, 7);
  }
  assertEquals(tries, [17, 33, 65, 129, 257, 513, 1025, 1025]);
});
