import { assertEquals, assertRejects } from "@std/assert";
import { channel, IpcError } from "../../mod.ts";
import { bystander, type Extra, type Numbered, RECEIVE, receiveFrom, SENDERS, victim } from "../support/senders.ts";
import type { Trap, Trapped } from "../support/step_trap.ts";
import { processTest } from "../support/test.ts";
import { patience } from "../support/patience.ts";

/** A bound against hanging only. */
const SOON = patience(20_000);

/** Milliseconds in which a message must not arrive: some fifteen looks of the receiver at the gap. */
const A_WHILE = 300;

/** Whether the claim of the stopped sender is in front of what others send meanwhile. */
const MOMENTS: readonly { step: Trap["step"]; occurrence: number; blocks: boolean; extra?: Extra }[] = [
  { step: "recorded", occurrence: 1, blocks: false },
  { step: "recorded", occurrence: 40, blocks: false },
  { step: "claimed", occurrence: 1, blocks: true },
  { step: "claimed", occurrence: 40, blocks: true },
  { step: "copied", occurrence: 1, blocks: true },
  { step: "copied", occurrence: 40, blocks: true },
  { step: "committed", occurrence: 1, blocks: false },
  { step: "committed", occurrence: 40, blocks: false },
  { step: "claimed", occurrence: 3, blocks: true, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 1, blocks: true, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 20, blocks: true, extra: "endpoint" },
  { step: "descriptors-sent", occurrence: 2, blocks: true, extra: "more than the ring holds" },
];

const COUNT = 50;

for (const [way, receive] of Object.entries(RECEIVE)) {
  for (const { step, occurrence, blocks, extra = "nothing" } of MOMENTS) {
    const moment = `at "${step}" the ${occurrence}. time` + (extra === "nothing" ? "" : `, messages with ${extra}`);
    const claim = blocks ? "waits for" : "does not wait for";
    processTest(`${way} ${claim} a sender that was stopped ${moment}, and skips nothing`, async ({ start }) => {
      const [sender, receiver] = channel<Numbered>({ capacity: 65_536 });
      const other = await start(SENDERS, bystander, { sender });
      const trap: Trap = { step, occurrence, signal: "SIGSTOP" };
      const stopped = await start(SENDERS, victim, { sender, trap, extra, count: COUNT });
      const { committed } = await stopped.said<Trapped>();
      await stopped.stopped();
      await other.tell(20);
      await other.said();

      const next = () => receiveFrom(receive, receiver, SOON);
      for (let n = 0; n < committed; n++) assertEquals(await next(), ["victim", n]);
      if (blocks) {
        const error = await assertRejects(() => receiveFrom(receive, receiver, A_WHILE), IpcError);
        assertEquals(error.code, "Timeout");
        stopped.signal("SIGCONT");
        assertEquals(await next(), ["victim", committed]);
        await expectMixed(20, committed + 1, next);
      } else {
        for (let n = 0; n < 20; n++) assertEquals(await next(), ["bystander", n]);
        assertEquals(receiver.tryRecv(), { state: "empty" });
        stopped.signal("SIGCONT");
        await expectMixed(0, committed, next);
      }

      sender.close();
      await other.tell(0);
      assertEquals(await stopped.said(), "survived");
      assertEquals((await stopped.status).code, 0);
      assertEquals((await other.status).code, 0);
      assertEquals(receiver.tryRecv(), { state: "disconnected" });
      receiver.close();
    });
  }
}

/** What is left of both senders, each in its own order. */
async function expectMixed(bystanders: number, victimFrom: number, next: () => Promise<readonly [string, number]>) {
  const expected: Record<string, number> = { bystander: 0, victim: victimFrom };
  for (let left = bystanders + COUNT - victimFrom; left > 0; left--) {
    const [from, n] = await next();
    assertEquals([from, n], [from, expected[from]!++]);
  }
  assertEquals(expected, { bystander: bystanders, victim: COUNT });
}

processTest(
  "recv() gets what a sender committed that was stopped before it rang, once that goes on or another sends",
  async ({ start }) => {
    const [sender, receiver] = channel<Numbered>({ capacity: 65_536 });
    const received: (readonly [string, number])[] = [];
    const all = (async () => {
      while (received.length < 12) {
        const [who, n] = await receiver.recv({ timeout: SOON });
        received.push([who, n]);
      }
    })();
    all.catch(() => {}); // rejects when the test has failed before it is awaited
    const trap: Trap = { step: "ringing", occurrence: 1, signal: "SIGSTOP" };
    const stopped = await start(SENDERS, victim, { sender, trap, extra: "nothing", count: 10 });
    const { committed } = await stopped.said<Trapped>();
    await stopped.stopped();
    for (const n of [0, 1]) sender.sendSync(["other", n]);
    const end = performance.now() + SOON;
    while (received.length < committed + 2 && performance.now() < end) await new Promise((done) => setTimeout(done, 1));
    const before = Array.from({ length: committed }, (_, n) => ["victim", n] as const);
    assertEquals(received, [...before, ["other", 0], ["other", 1]]);
    stopped.signal("SIGCONT");
    await all;
    assertEquals(received.filter(([who]) => who === "victim").map(([, n]) => n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assertEquals(await stopped.said(), "survived");
    sender.close();
    receiver.close();
  },
);
