// A channel that begins without a ring, whose ends are used in two processes at once: each may make the ring at any moment.
import { assert, assertEquals } from "@std/assert";
import { channel, type IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { Choices } from "../support/choices.ts";
import { patience } from "../support/patience.ts";
import { passed } from "../support/sent_away.ts";
import { processTest } from "../support/test.ts";

type Message = [who: string, n: number, extra?: unknown];

/** Passes microseconds without giving anything up. */
function spin(microseconds: number): void {
  const until = performance.now() + microseconds / 1000;
  while (performance.now() < until);
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** Uses a sender in a way that looks random, and closes it; returns how many messages it has sent. */
async function useSender(first: IpcSender<Message>, who: string, choices: Choices): Promise<number> {
  let sender = first, n = 0;
  for (let step = choices.below(5); step >= 0; step--) {
    spin(choices.below(2) * choices.below(150));
    switch (choices.below(8)) {
      case 0:
      case 1:
        sender.sendSync([who, n++]);
        break;
      case 2:
        await sender.send([who, n++]);
        break;
      case 3:
        sender.sendSync([who, n++, new Uint8Array(2000)]);
        break;
      case 4: {
        using clone = sender.clone();
        clone.sendSync([who, n++]);
        break;
      }
      case 5: {
        const next = passed([sender])[0]!;
        sender.close();
        sender = next;
        break;
      }
      case 6:
        await turn();
        break;
      default: {
        const [inner, rest] = channel<number>();
        sender.sendSync([who, n++, inner]);
        inner.close(), rest.close();
      }
    }
  }
  sender.close();
  return n;
}

export interface Work {
  readonly sender: IpcSender<Message>;
  readonly seed: number;
}

/** Uses each sender that it gets, and says how many messages it sent by that. */
export async function useSenders(
  { work, counts }: { work: IpcReceiver<Work>; counts: IpcSender<number> },
  self: Self,
): Promise<void> {
  for await (const { sender, seed } of work) counts.sendSync(await useSender(sender, "there", Choices.of(seed)));
  work.close(), counts.close();
  self.say("done");
}

/** Receives until the end, in ways that look random. */
async function receiveAll(receiver: IpcReceiver<Message>, choices: Choices, got: Message[]): Promise<void> {
  const take = (message: Message) => {
    (message[2] as IpcSender<number>)?.close?.();
    got.push([message[0], message[1]]);
  };
  try {
    for (;;) {
      spin(choices.below(2) * choices.below(150));
      switch (choices.below(8)) {
        case 0: // not for long: the sender here may need the event loop
          try {
            take(receiver.recvSync({ timeout: 1 }));
          } catch (error) {
            if ((error as IpcError).code !== "Timeout") throw error;
            await turn();
          }
          break;
        case 1: {
          const result = receiver.tryRecv();
          if (result.state === "message") take(result.value);
          else await turn();
          break;
        }
        case 2:
          receiver.recvMany().forEach(take);
          await turn();
          break;
        case 3: {
          const several = [receiver.recv(), receiver.recv(), receiver.recv()];
          for (const { status, ...rest } of await soon(Promise.allSettled(several))) {
            if (status === "fulfilled") take((rest as { value: Message }).value);
            else if ((rest as { reason: IpcError }).reason.code !== "Disconnected") {
              throw (rest as { reason: IpcError }).reason;
            }
          }
          break;
        }
        case 4: {
          using borrowed = await soon(receiver.borrow());
          take(borrowed.value);
          break;
        }
        case 5:
          receiver.capacity;
          break;
        default:
          take(await soon(receiver.recv()));
      }
    }
  } catch (error) {
    if ((error as IpcError).code !== "Disconnected") throw error;
  }
}

processTest(
  "Both sides may make the ring at any moment: every message arrives, once and in order",
  async ({ start }) => {
    const [work, receivesWork] = channel<Work>(), [counts, counted] = channel<number>();
    const child = await start(import.meta.url, useSenders, { work: receivesWork, counts });
    counts.close();
    for (let seed = 1; seed <= 600; seed++) {
      const choices = Choices.of(1_000_000 + seed);
      const [sender, receiver] = channel<Message>({ capacity: 65_536 });
      work.sendSync({ sender, seed });
      const got: Message[] = [];
      const receiving = choices.below(2) === 0 ? receiveAll(receiver, choices, got) : undefined;
      if (receiving) await turn();
      const here = choices.below(2) === 0 ? (sender.close(), 0) : await useSender(sender, "here", choices);
      await (receiving ?? receiveAll(receiver, choices, got));
      const there = await soon(counted.recv());
      for (const [who, count] of [["here", here], ["there", there]] as const) {
        const numbers = got.filter(([from]) => from === who).map(([, n]) => n);
        assertEquals(numbers, Array.from({ length: count }, (_, n) => n), `${who}, seed ${seed}`);
      }
      assertEquals(got.length, here + there);
      receiver.close();
    }
    work.close();
    assertEquals(await soon(child.said()), "done");
    counted.close();
  },
);

// --- By blocking waits, and over several processes ---------------------------------------------------------------------

const WAYS: Record<string, (receiver: IpcReceiver<Message>) => Message> = {
  "recvSync()": (receiver) => receiver.recvSync(),
  "recvSync() with a time": (receiver) => receiver.recvSync({ timeout: patience(20_000) }),
  "borrowSync()": (receiver) => {
    using message = receiver.borrowSync();
    return message.value;
  },
  "tryRecv(), polling": (receiver) => {
    for (;;) {
      const result = receiver.tryRecv();
      if (result.state === "message") return result.value;
      if (result.state === "disconnected") return receiver.recvSync();
    }
  },
};

/** Sends a message by each sender that it gets, a while later, and another one if it is to. */
export async function answerLate({ asks }: { asks: IpcReceiver<[sender: IpcSender<Message>, count: number]> }) {
  for await (const [sender, count] of asks) {
    spin(3000);
    for (let n = 0; n < count; n++) {
      sender.sendSync(["there", n]);
      if (n === 0) spin(3000);
    }
    sender.close();
  }
  asks.close();
}

processTest("A receiver that blocks is woken by what comes, and by the end", async ({ start }) => {
  const [ask, asks] = channel<[IpcSender<Message>, number]>();
  const child = await start(import.meta.url, answerLate, { asks });
  for (const [way, receive] of Object.entries(WAYS)) {
    for (const count of [0, 1, 3]) {
      const [sender, receiver] = channel<Message>();
      ask.sendSync([sender, count]);
      sender.close();
      for (let n = 0; n < count; n++) assertEquals(receive(receiver), ["there", n], way);
      let code = "";
      try {
        receive(receiver);
      } catch (error) {
        code = (error as IpcError).code;
      }
      assertEquals(code, "Disconnected", way);
      receiver.close();
    }
  }
  ask.close();
  await child.done();
});

/** Passes on what it gets, unused, or after it has sent a message by it. */
export async function passOn(
  { from, to, sends }: { from: IpcReceiver<IpcSender<string>>; to: IpcSender<IpcSender<string>>; sends: boolean },
): Promise<void> {
  for await (const sender of from) {
    if (sends) sender.sendSync("on the way");
    to.sendSync(sender);
    sender.close();
  }
  from.close(), to.close();
}

processTest(
  "A sender that goes on through other processes, used or not, sends to where it began",
  async ({ start }) => {
    const [first, one] = channel<IpcSender<string>>(), [second, two] = channel<IpcSender<string>>();
    const [last, returned] = channel<IpcSender<string>>();
    const children = [
      await start(import.meta.url, passOn, { from: one, to: second, sends: false }),
      await start(import.meta.url, passOn, { from: two, to: last, sends: true }),
    ];
    second.close(), last.close();
    for (let round = 0; round < 20; round++) {
      const [sender, receiver] = channel<string>();
      first.sendSync(sender);
      const waiting = round % 2 === 0 ? receiver.recv() : undefined;
      const there = await soon(returned.recv());
      there.sendSync("there");
      assertEquals([await soon(waiting ?? receiver.recv()), await soon(receiver.recv())], ["on the way", "there"]);
      sender.close(), there.close();
      const error = await soon(receiver.recv().catch((error) => error as IpcError));
      assert(typeof error === "object" && error.code === "Disconnected");
      receiver.close();
    }
    first.close();
    for (const child of children) await child.done();
    returned.close();
  },
);
