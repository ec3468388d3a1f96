import { assertEquals, assertThrows } from "@std/assert";
import { SpinBudget } from "../../../channel/ring/spin_budget.ts";
import { channel, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { processTest, test } from "../../support/test.ts";
import { patience } from "../../support/patience.ts";

type Message = { n: number; text: string };
interface Table {
  readonly pings: IpcReceiver<Message>;
  readonly pongs: IpcSender<Message>;
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
