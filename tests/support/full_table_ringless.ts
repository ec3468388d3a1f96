// Runs in a process that may have few descriptors: a channel without a ring, either side of which finds no room for what it needs.
// Says "done" if nothing was lost by that.
import { assert, assertEquals } from "@std/assert";
import { LazyChannel } from "../../channel/endpoint/lazy_channel.ts";
import { receiverFrom } from "../../channel/endpoint/receiver.ts";
import { Message } from "../../channel/message/outgoing.ts";
import type { RinglessSender } from "../../channel/ring/ringless_sender.ts";
import { channel, type IpcError } from "../../mod.ts";
import { assertIpcError, soon } from "./assert_ipc.ts";
import { withRoomFor } from "./fill_table.ts";
import { descriptorsOf } from "./leftovers.ts";
import { passed, sentAway, turn } from "./sent_away.ts";

// Half a second after the start Deno listens for a signal, and panics if it finds no descriptor for that.
const listener = () => {};
Deno.addSignalListener("SIGWINCH", listener);
Deno.removeSignalListener("SIGWINCH", listener);

type Away = ReturnType<typeof sentAway<number>>;

const open = () => descriptorsOf("self").filter((link) => /^(pipe:|socket:|\/memfd:)/.test(link)).length;

/** The code of what an attempt throws, `undefined` if it succeeds; whether that is for want of descriptors is checked. */
async function attempt(act: () => unknown): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    assertEquals((error as IpcError).code, "System", String(error));
    assert(/EMFILE|too many/i.test((error as IpcError).message), String(error));
    return false;
  }
}

/** Uses of either side, each from the state in which `begin` leaves a channel; returns what was sent by it. */
interface Case {
  /** Returns what was sent. */
  begin?(away: Away): number[] | Promise<number[]>;
  /** With a full table. Returns what it has sent, if it has. */
  use(away: Away): unknown;
  /** What it has sent once it succeeded. */
  sends?: number[];
  /** What it has received once it succeeded. */
  receives?: number;
  /** Whether it needs no descriptor. */
  never?: boolean;
}

const posted = ({ there }: Away) => (there.sendSync(0), [0]);
const grown = ({ there }: Away) => (there.sendSync(0), there.sendSync(1), [0, 1]);
const CASES: Record<string, Case> = {
  "a post": { use: ({ there }) => there.sendSync(0), sends: [0], never: true },
  "a post is received": {
    begin: posted,
    use: ({ receiver }) => receiver.recvSync({ timeout: 0 }),
    receives: 1,
    never: true,
  },
  "a post is awaited": { begin: posted, use: ({ receiver }) => receiver.recv(), receives: 1, never: true },
  "a second message": { begin: posted, use: ({ there }) => there.sendSync(1), sends: [1] },
  "a second message, awaited": { begin: posted, use: ({ there }) => there.send(1), sends: [1] },
  "a clone there": { begin: posted, use: ({ there }) => there.clone().close() },
  "on in a message": { begin: posted, use: ({ there }) => passed([there])[0]!.close() },
  "a grown ring is received from": {
    begin: ({ there, receiver }) => {
      there.sendSync(0), assertEquals(receiver.recvSync({ timeout: 0 }), 0), there.sendSync(1);
      return [1];
    },
    use: ({ receiver }) => receiver.recvSync({ timeout: 0 }),
    receives: 1,
  },
  "a grown ring is looked at": { begin: grown, use: ({ receiver }) => void receiver.recvMany(0) },
  "a grown ring is used here": { begin: grown, use: ({ here }) => here.sendSync(2), sends: [2] },
  "a ring is made here": { begin: posted, use: ({ here }) => here.sendSync(1), sends: [1] },
  "a ring is made by the receiver": { begin: posted, use: ({ receiver }) => void receiver.capacity },
  "a ring that was made here is used there": {
    begin: (away) => (away.there.sendSync(0), away.here.sendSync(1), [0, 1]),
    use: ({ there }) => there.sendSync(2),
    sends: [2],
  },
  "a post, and somebody waits": {
    begin(away) {
      waiting = away.receiver.recv();
      return turn().then(() => []);
    },
    use: ({ there }) => there.sendSync(0),
    sends: [0],
  },
  "a ring, and somebody waits": {
    begin(away) {
      waiting = away.receiver.recv();
      return turn().then(() => []);
    },
    use: ({ there }) => (there.capacity, there.sendSync(0)),
    sends: [0],
  },
};

let waiting: Promise<number> | undefined;

/** Tries something with a full table and more and more room, then with enough, and receives everything. */
async function tryIn(what: string, { begin, use, sends = [], receives = 0, never }: Case): Promise<void> {
  const before = open();
  let failures = 0;
  for (let most = 0; most < 12; most++) {
    const away = sentAway<number>({ capacity: 65_536 });
    const sent = await begin?.(away) ?? [];
    let done = false;
    // From all too little room to `most`: each failure must leave all as it was.
    for (let free = 0; free <= most && !done; free++) {
      await withRoomFor(free, async () => void (done = await attempt(() => use(away))));
    }
    if (!done) {
      failures++;
      await use(away);
    }
    const got: number[] = [];
    if (waiting !== undefined) got.push(await soon(waiting, what));
    waiting = undefined;
    const all = [...sent, ...sends].slice(receives);
    while (got.length < all.length) got.push(await soon(away.receiver.recv(), what));
    assertEquals(got, all, what);
    if (!away.there.closed) away.there.sendSync(98);
    away.here.sendSync(99);
    assertEquals(away.receiver.recvMany(), [98, 99], what);
    away[Symbol.dispose]();
  }
  assertEquals(failures > 0, !never, `${what}: failed ${failures} times`);
  assertEquals(open(), before, what);
  console.log("ok", what);
}

/** Waits that cannot begin say so, and those that can get what comes. */
async function waits(): Promise<void> {
  for (let free = 0; free < 6; free++) {
    using away = sentAway<number>({ capacity: 65_536 });
    let early: Promise<number> | undefined;
    await withRoomFor(free, async () => {
      const wait = away.receiver.recv();
      if (free < 2) await assertIpcError("System", () => wait);
      else early = wait;
    });
    const late = away.receiver.recv();
    await turn();
    away.there.sendSync(1), away.there.sendSync(2);
    assertEquals(await soon(early ?? late), 1);
    assertEquals(await soon(early ? late : away.receiver.recv()), 2);
  }
  console.log("ok waits");
}

/**
 * The receiver begins to wait when the sender has looked for its bell, and has not posted yet; then there is no room for the bell:
 * it is read, and rung, when there is some.
 */
async function bells(): Promise<void> {
  const lazy = new LazyChannel(65_536), receiver = receiverFrom<number>(lazy);
  const sender = lazy.senderHandle as RinglessSender;
  lazy.closeSender();
  let wait: Promise<number> | undefined, filled: Promise<void> | undefined, empty = () => {};
  const until = new Promise<void>((resolve) => empty = resolve);
  const message = Message.of(new Uint8Array([7]));
  const posted = sender.post({
    length: 1,
    copyTo(...to) {
      wait = receiver.recv();
      filled = withRoomFor(0, () => until);
      message.copyTo(...to);
    },
    parts: () => message.parts(),
  });
  assert(posted);
  empty();
  await filled;
  assertEquals(await soon(wait!), 7);
  sender.close(), receiver.close();
  console.log("ok bells");
}

sentAway<number>()[Symbol.dispose]();
{ // what is opened once, and kept
  using away = sentAway<number>();
  const wait = away.receiver.recv();
  await turn();
  away.there.sendSync(1), away.there.sendSync(2);
  await wait;
  const [sender, receiver] = channel<number>();
  sender.clone().close(), sender.close(), receiver.close();
}
for (const [what, one] of Object.entries(CASES)) await tryIn(what, one);
await waits();
await bells();
console.log("done");
