// The driver of the language matrix for Deno, Node.js and Bun: does what the suite says, a command a line, and judges only
// contents. Ends with its input.
import { Buffer } from "node:buffer";
import { existsSync, writeSync } from "node:fs";
import process from "node:process";
import {
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  type IpcDuplex,
  IpcError,
  IpcReceiver,
  IpcSender,
  IpcServer,
  struct,
  u64,
} from "../../../mod.ts";
import { bytesOf, checkBytes, checkValue, Failed, indexOf, valueOf, writeBytes } from "./driver_messages.ts";

const WAIT = { timeout: 60_000 };

const REST = new Int32Array(new SharedArrayBuffer(4));

/** Writes a line; waits where the suite reads more slowly, as Node.js leaves pipes that do not block. */
function say(...words: unknown[]): void {
  for (let bytes = Buffer.from(`${words.join(" ")}\n`); bytes.length > 0;) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
      Atomics.wait(REST, 0, 0, 1);
    }
  }
}

/** A sending end, a receiving end, or both. */
interface Line {
  /** The conversation, of a server or with one. */
  readonly talk?: IpcDuplex<unknown, unknown>;
  send(i: number, size: number, how: string, sync: boolean): void | Promise<void>;
  receive(size: number, how: string, sync: boolean): number | Promise<number>;
  poll(): string;
  close(): void;
}

type ValueSender = Pick<IpcDuplex<unknown, unknown>, "send" | "sendSync">;
type ValueReceiver = Pick<IpcDuplex<unknown, unknown>, "recv" | "recvSync" | "tryRecv" | "borrow" | "borrowSync">;

function valueLine(sender: ValueSender | undefined, receiver: ValueReceiver | undefined, close: () => void): Line {
  return {
    close,
    send(i, size, how, sync) {
      if (how === "loan") throw new IpcError("Unsupported", "loans are of bytes");
      if (!sync) return sender!.send(valueOf(i, size), WAIT);
      sender!.sendSync(valueOf(i, size), WAIT);
    },
    async receive(size, how, sync) {
      if (how !== "borrow") return checkValue(sync ? receiver!.recvSync(WAIT) : await receiver!.recv(WAIT), size);
      const borrowed = sync ? receiver!.borrowSync(WAIT) : await receiver!.borrow(WAIT);
      const i = checkValue(borrowed.value, size);
      borrowed.release();
      return i;
    },
    poll() {
      const found = receiver!.tryRecv();
      if (found.state !== "message") return found.state === "empty" ? "empty" : "gone";
      return `message ${(found.value as { i: number }).i}`;
    },
  };
}

function bytesLine(sender: IpcBytesSender | undefined, receiver: IpcBytesReceiver | undefined): Line {
  return {
    close: () => (sender ?? receiver)!.close(),
    async send(i, size, how, sync) {
      if (how === "loan") {
        const loan = sync ? sender!.reserveSync(size, WAIT) : await sender!.reserve(size, WAIT);
        loan.commit(writeBytes(loan.bytes, i, size));
      } else if (sync) sender!.sendSync(bytesOf(i, size), WAIT);
      else await sender!.send(bytesOf(i, size), WAIT);
    },
    async receive(size, how, sync) {
      if (how !== "borrow") return checkBytes(sync ? receiver!.recvSync(WAIT) : await receiver!.recv(WAIT), size);
      const borrowed = sync ? receiver!.borrowSync(WAIT) : await receiver!.borrow(WAIT);
      const i = checkBytes(borrowed.value, size);
      borrowed.release();
      return i;
    },
    poll() {
      const found = receiver!.tryRecv();
      if (found.state !== "message") return found.state === "empty" ? "empty" : "gone";
      return `message ${indexOf(found.value)}`;
    },
  };
}

/** A cell with a number, and a copy of it, in one of the layouts. */
class Value {
  readonly #cell: IpcArc<unknown>;
  readonly #layout: string;
  #died = 0;

  constructor(name: string, how: string, layout: string) {
    const layouts = { cbor: undefined, struct: struct({ n: u64, copy: u64 }), u64 };
    const known = layouts[layout as keyof typeof layouts];
    const options = known === undefined ? {} : { layout: known };
    const zero = { cbor: { n: 0, copy: 0 }, struct: { n: 0n, copy: 0n }, u64: 0n }[layout];
    this.#layout = layout;
    this.#cell =
      (how === "create"
        ? IpcArc.create(name, zero, options as object)
        : IpcArc.load(name, options as object)) as IpcArc<unknown>;
  }

  async add(how: string, sync: boolean): Promise<void> {
    if (how === "atomic") return void (this.#cell as IpcArc<bigint>).atomic.add(1n);
    const guard = sync ? this.#cell.acquireSync(WAIT) : await this.#cell.acquire(WAIT);
    try {
      this.#died += Number(guard.ownerDied);
      if (this.#layout === "u64") {
        guard.value = guard.value as bigint + 1n;
      } else if (this.#layout === "struct") {
        const value = guard.value as { n: bigint; copy: bigint };
        value.n++, value.copy++;
      } else {
        const value = guard.value as { n: number; copy: number };
        guard.value = { n: value.n + 1, copy: value.copy + 1 };
      }
    } finally {
      guard.release();
    }
  }

  #parts(value: unknown): [n: number, copy: number] {
    if (typeof value === "bigint") return [Number(value), Number(value)];
    const { n, copy } = value as { n: number | bigint; copy: number | bigint };
    return [Number(n), Number(copy)];
  }

  read(): string {
    const [n, copy] = this.#parts(this.#cell.read());
    return `${n} ${copy} ${this.#died}`;
  }

  async watch(until: number): Promise<string> {
    // Notes what is there now: from here on no change is missed.
    const changes = this.#cell.watch({ signal: AbortSignal.timeout(WAIT.timeout) })[Symbol.asyncIterator]();
    let [last, copy] = this.#parts(this.#cell.read());
    say("at", last);
    for (let seen = 1, first = true;; first = false) {
      if (last !== copy) throw new Failed(`n is ${last}, its copy ${copy}`);
      if (last >= until) {
        await changes.return?.();
        return String(seen);
      }
      const next = await changes.next();
      if (next.done) throw new IpcError("Timeout", "no change came");
      const [n, same] = this.#parts(next.value);
      // The first one may be what was looked at, which came after the watch began.
      if (n < last || (n === last && !first)) throw new Failed(`${n} after ${last}`);
      if (n > last) seen++;
      [last, copy] = [n, same];
    }
  }

  close(): void {
    this.#cell.close();
  }
}

const things = new Map<string, Line | Value | IpcServer<unknown, unknown>>();

const line = (name: string) => things.get(name) as Line;
const value = (name: string) => things.get(name) as Value;
const duplexLine = (talk: IpcDuplex<unknown, unknown>) => ({ ...valueLine(talk, talk, () => talk.close()), talk });
const isGone = (error: unknown) => error instanceof IpcError && error.code === "Disconnected";

/** What each command does; returns the words of its closing line. */
const commands: Record<string, (...words: string[]) => unknown> = {
  hello() {
    const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
    const words = "bytes values borrow loan cbor-cell struct-cell atomic watch server client sync";
    return `${runtime} ${process.versions[runtime as "node"]} ${words}`;
  },
  create(name = "", path = "", kind, capacity) {
    const options = { capacity: Number(capacity) };
    if (kind === "bytes") return void things.set(name, bytesLine(undefined, IpcBytesReceiver.create(path, options)));
    const receiver = IpcReceiver.create<unknown>(path, options);
    things.set(name, valueLine(undefined, receiver, () => receiver.close()));
  },
  open(name = "", path = "", kind) {
    if (kind === "bytes") return void things.set(name, bytesLine(IpcBytesSender.open(path), undefined));
    const sender = IpcSender.open<unknown>(path);
    things.set(name, valueLine(sender, undefined, () => sender.close()));
  },
  serve(name = "", path = "") {
    things.set(name, new IpcServer<unknown, unknown>({ path }));
  },
  async accept(name = "", server = "") {
    things.set(name, duplexLine(await (things.get(server) as IpcServer<unknown, unknown>).accept(WAIT)));
  },
  connect(name = "", path = "") {
    things.set(name, duplexLine(IpcServer.connect(path)));
  },
  async send(name = "", from, count, size, how = "", sync) {
    const first = Number(from);
    for (let i = first; i < first + Number(count); i++) await line(name).send(i, Number(size), how, sync === "sync");
  },
  async receive(name = "", from, count, size, how = "", sync) {
    const first = Number(from);
    for (let i = first; i < first + Number(count); i++) {
      const found = await line(name).receive(Number(size), how, sync === "sync");
      if (found !== i) throw new Failed(`expected ${i}, got ${found}`);
    }
  },
  async flood(name = "", from, size, how = "", every, stop = "", sync) {
    let i = Number(from);
    try {
      for (;;) {
        for (let turn = Number(every); turn > 0; turn--, i++) {
          await line(name).send(i, Number(size), how, sync === "sync");
        }
        say("at", i);
        if (existsSync(stop)) return i;
      }
    } catch (error) {
      if (isGone(error)) return `${i} gone`;
      throw error;
    }
  },
  async drain(name = "", end, size, how = "", every, sync) {
    const runs: [number, number][] = [];
    let gone = "";
    try {
      for (let count = 1;; count++) {
        const i = await line(name).receive(Number(size), how, sync === "sync");
        const run = runs.at(-1);
        if (run !== undefined && i === run[1] + 1) run[1] = i;
        else runs.push([i, i]);
        if (count % Number(every) === 0) say("at", i);
        if (i === Number(end)) break;
      }
    } catch (error) {
      if (!isGone(error)) throw error;
      gone = " gone";
    }
    return runs.map((run) => run.join(":")).join(" ") + gone;
  },
  poll: (name = "") => line(name).poll(),
  async "serve-echo"(name = "") {
    const end = line(name).talk!;
    let count = 0;
    try {
      for (;; count++) await end.send(await end.recv(WAIT), WAIT);
    } catch (error) {
      if (isGone(error)) return count;
      throw error;
    }
  },
  async ask(name = "", from, count, size) {
    const first = Number(from);
    for (let i = first; i < first + Number(count); i++) {
      await line(name).send(i, Number(size), "copy", false);
      const found = await line(name).receive(Number(size), "copy", false);
      if (found !== i) throw new Failed(`expected ${i}, got ${found}`);
    }
  },
  cell(name = "", cell = "", how = "", layout = "") {
    things.set(name, new Value(cell, how, layout));
  },
  async add(name = "", count, how = "", sync) {
    for (let i = Number(count); i > 0; i--) await value(name).add(how, sync === "sync");
  },
  async hammer(name = "", how = "", every, stop = "", sync) {
    for (let done = 1;; done++) {
      await value(name).add(how, sync === "sync");
      if (done % Number(every) !== 0) continue;
      say("at", done);
      if (existsSync(stop)) return done;
    }
  },
  read: (name = "") => value(name).read(),
  watch: (name = "", until) => value(name).watch(Number(until)),
  close(name = "") {
    things.get(name)!.close();
    things.delete(name);
  },
};

async function obey(words: readonly string[]): Promise<void> {
  const [command = "", ...rest] = words;
  try {
    if (!Object.hasOwn(commands, command)) throw new IpcError("Unsupported", `there is no command "${command}"`);
    const result = await commands[command]!(...rest);
    say(...(result === undefined || result === "" ? ["ok"] : ["ok", result]));
  } catch (error) {
    const code = error instanceof IpcError ? error.code : "Failed";
    say("error", code, String((error as Error)?.message ?? error).replace(/\s+/g, " "));
  }
}

let rest = "";
for await (const piece of process.stdin.setEncoding("utf8")) {
  const lines = (rest + piece).split("\n");
  rest = lines.pop()!;
  for (const text of lines) {
    if (text === "quit") break;
    await obey(text.split(" "));
  }
  if (lines.at(-1) === "quit") break;
}
for (const thing of things.values()) thing.close();
process.exit(0);
