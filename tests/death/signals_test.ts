// Signals that interrupt a wait, and a stop in the middle of it: SIGWINCH with a handler (Deno itself listens for
// SIGUSR1 and SIGUSR2), SIGSTOP and SIGCONT.
import { assert, assertEquals } from "@std/assert";
import {
  channel,
  IpcArc,
  IpcOneShotServer,
  type IpcReceiver,
  IpcReceiverSet,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import type { Child } from "../support/processes.ts";
import { processTest } from "../support/test.ts";

/** Milliseconds that a wait which is to end without an event may take. */
const TIMEOUT = patience(200);

/** Milliseconds for which a wait is looked at, whether it takes the processor. */
const LOOK = patience(500);

/** What the waiting process has: an end of a channel, and the name of a cell. */
interface Job {
  readonly way: string;
  readonly end: IpcReceiver<number> | IpcSender<number>;
  readonly cell: string;
}

/** What it says about a wait. */
interface Outcome {
  readonly result: unknown;
  readonly elapsed: number;
  readonly signals: number;
}

type Wait = (timeout: number) => unknown;

/** The ways to wait, as the waiting process does them; prepared once, then used several times. */
const WAITS: Record<string, (job: Job, self: Self) => Wait> = {
  "recv()": ({ end }) => (timeout) => (end as IpcReceiver<number>).recv({ timeout }),
  "recvSync()": ({ end }) => (timeout) => (end as IpcReceiver<number>).recvSync({ timeout }),
  "select()": ({ end }) => {
    const set = setOf(end);
    return async (timeout) => (await set.select({ timeout })).map((event) => "value" in event ? event.value : event)[0];
  },
  "selectSync()": ({ end }) => {
    const set = setOf(end);
    return (timeout) => set.selectSync({ timeout }).map((event) => "value" in event ? event.value : event)[0];
  },
  "send() on a full ring": ({ end }) => (timeout) => (end as IpcSender<number>).send(42, { timeout }).then(() => 42),
  "sendSync() on a full ring": ({ end }) => (timeout) => ((end as IpcSender<number>).sendSync(42, { timeout }), 42),
  "sendWhenEmpty()": ({ end }) => (timeout) => (end as IpcSender<number>).sendWhenEmpty(42, { timeout }).then(() => 42),
  "IpcServer.accept()": (_, self) => {
    const server = new IpcServer<number, number>();
    self.say(server.name);
    return async (timeout) => answer(await server.accept({ timeout }));
  },
  "IpcServer.acceptSync()": (_, self) => {
    const server = new IpcServer<number, number>();
    self.say(server.name);
    return (timeout) => answer(server.acceptSync({ timeout }));
  },
  "IpcOneShotServer.accept()": (_, self) => {
    const server = new IpcOneShotServer<number>();
    self.say(server.name);
    return async (timeout) => (await server.accept({ timeout }))[1];
  },
  "IpcOneShotServer.acceptSync()": (_, self) => {
    const server = new IpcOneShotServer<number>();
    self.say(server.name);
    return (timeout) => server.acceptSync({ timeout })[1];
  },
  "IpcArc.acquire()": ({ cell }) => {
    const arc = IpcArc.load<number>(cell);
    return async (timeout) => {
      using guard = await arc.acquire({ timeout });
      return guard.value;
    };
  },
  "IpcArc.acquireSync()": ({ cell }) => {
    const arc = IpcArc.load<number>(cell);
    return (timeout) => {
      using guard = arc.acquireSync({ timeout });
      return guard.value;
    };
  },
};

function setOf(end: Job["end"]): IpcReceiverSet {
  const set = new IpcReceiverSet();
  set.add(end as IpcReceiver<unknown>);
  return set;
}

function answer(client: { recvSync(): number; sendSync(n: number): void }): number {
  const n = client.recvSync();
  client.sendSync(n + 1);
  return n;
}

/** Waits as often as it is told to, and says how each wait ended. */
export async function waiter(job: Job, self: Self): Promise<void> {
  let signals = 0;
  Deno.addSignalListener("SIGWINCH", () => signals++);
  const wait = WAITS[job.way]!(job, self);
  for (let timeout = self.hear<number>(); timeout > 0; timeout = self.hear<number>()) {
    self.say("waits");
    const begin = performance.now();
    let result: unknown;
    try {
      result = await wait(timeout);
    } catch (error) {
      result = (error as { code?: string }).code ?? String(error);
    }
    const elapsed = performance.now() - begin;
    // Handlers are called by the event loop, which a wait may have blocked: the first has the time that it needs.
    const end = performance.now() + patience(10_000);
    while (signals === 0 && performance.now() < end) await pause(1);
    self.say({ result, elapsed, signals } satisfies Outcome);
  }
  Deno.exit(0);
}

/** The side of the test: what the waiting process gets, how its wait is ended well, and what to check then. */
interface Counterpart {
  readonly end: Job["end"];
  readonly cell?: string;
  /** Ends the wait well. */
  satisfy(name: string | undefined): void;
  /** After that; throws if anything was lost. */
  check(): Promise<void>;
  close(): void;
}

function counterpart(way: string): Counterpart {
  if (way.startsWith("IpcArc")) {
    const cell = `isthmus-test-${crypto.randomUUID()}`;
    const arc = IpcArc.create(cell, 42);
    const guard = arc.acquireSync();
    const [sender, receiver] = channel<number>();
    return {
      end: sender,
      cell,
      satisfy: () => guard.release(),
      check: async () => (await arc.acquire({ timeout: patience(10_000) })).release(),
      close: () => (arc.close(), sender.close(), receiver.close()),
    };
  }
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  const closing: Disposable[] = [sender, receiver];
  const close = () => closing.forEach((end) => end[Symbol.dispose]());
  if (way.startsWith("send")) {
    let queued = 0;
    for (const most = way === "sendWhenEmpty()" ? 3 : Infinity; queued < most && sender.trySend(queued);) queued++;
    return {
      end: sender,
      satisfy: () => {
        for (let n = 0; n < queued; n++) assertEquals(receiver.recvSync({ timeout: 0 }), n);
      },
      check: async () => {
        assertEquals(await receiver.recv({ timeout: patience(10_000) }), 42);
        assertEquals(receiver.tryRecv(), { state: "empty" });
      },
      close,
    };
  }
  if (way.startsWith("IpcServer")) {
    let client: ReturnType<typeof IpcServer.connect<number, number>>;
    return {
      end: sender,
      satisfy: (name) => {
        closing.push(client = IpcServer.connect(name!));
        client.sendSync(42);
      },
      check: async () => assertEquals(await client.recv({ timeout: patience(10_000) }), 43),
      close,
    };
  }
  if (way.startsWith("IpcOneShotServer")) {
    return {
      end: sender,
      satisfy: (name) => {
        using client = IpcSender.connect<number>(name!);
        client.sendSync(42);
      },
      check: () => Promise.resolve(),
      close,
    };
  }
  return {
    end: receiver,
    satisfy: () => sender.sendSync(42),
    check: () => Promise.resolve(),
    close,
  };
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Sends signals until something has come of it. */
async function storm<T>(child: Child, until: Promise<T>): Promise<T> {
  let over = false;
  until.finally(() => over = true).catch(() => {});
  while (!over) {
    child.signal("SIGWINCH");
    await pause(1);
  }
  return await until;
}

/** Processor time of a process, in clock ticks, 100 a second. */
function ticks(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

for (const way of Object.keys(WAITS)) {
  processTest(
    `${way}, interrupted and stopped, keeps its time-out, loses nothing and does not spin`,
    async ({ start }) => {
      const other = counterpart(way);
      const child = await start(import.meta.url, waiter, { way, end: other.end, cell: other.cell ?? "" });
      const name = way.includes("Server") ? await child.said<string>() : undefined;
      const begin = async (timeout: number) => {
        await child.tell(timeout);
        assertEquals(await child.said(), "waits");
      };

      // Its time is up in time, however often it is interrupted: no wait begins anew with every signal.
      await begin(TIMEOUT);
      const interrupted = await storm(child, soon(child.said<Outcome>(), "The wait"));
      assertEquals(interrupted.result, "Timeout");
      assert(interrupted.elapsed >= TIMEOUT, `over after ${interrupted.elapsed} ms`);
      assert(interrupted.signals > 0, "no signal was handled");

      // Its time is up while it is stopped.
      await begin(TIMEOUT);
      child.signal("SIGSTOP");
      await child.stopped();
      await pause(TIMEOUT + 50);
      child.signal("SIGCONT");
      assertEquals((await soon(child.said<Outcome>(), "The wait")).result, "Timeout");

      // What it waits for comes while it is stopped, after a number of signals.
      await begin(patience(60_000));
      const said = child.said<Outcome>();
      said.catch(() => {}); // rejects when a test that has failed ends the process
      await storm(child, pause(patience(50)));
      const before = ticks(child.pid);
      await pause(LOOK);
      const spent = ticks(child.pid) - before;
      assert(spent < LOOK / 20, `${spent} ticks of ${LOOK / 10} spent waiting`);
      child.signal("SIGSTOP");
      await child.stopped();
      other.satisfy(name);
      child.signal("SIGCONT");
      assertEquals((await storm(child, soon(said, "The wait"))).result, 42);
      await other.check();

      await child.tell(0);
      assertEquals((await child.status).code, 0);
      other.close();
    },
  );
}

/** Makes shared memory again and again until it is told to stop, and says how often it went well. */
export function maker(_: null, self: Self): void {
  let signals = 0;
  Deno.addSignalListener("SIGWINCH", () => signals++);
  self.say("begins");
  for (let n = 0; n < 20; n++) {
    using memory = IpcSharedMemory.filled(0, 64 << 20);
    if (memory.length !== 64 << 20) throw new Error("too small");
  }
  self.say("made");
  Deno.exit(0);
}

processTest("Shared memory is made while signals come, which interrupt its allocation", async ({ start }) => {
  const child = await start(import.meta.url, maker, null);
  assertEquals(await child.said(), "begins");
  assertEquals(await storm(child, soon(child.said(), "It")), "made");
  assertEquals((await child.status).code, 0);
});
