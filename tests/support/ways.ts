// The ways that a value goes: through a channel, alone and among others, and through a cell.
import { types } from "node:util";
import { channel, IpcArc } from "../../mod.ts";

/** Sends a value one way and returns what arrives. */
export interface Way {
  readonly name: string;
  go(value: unknown): unknown;
  /** How often a value is written on this way; once by default. */
  readonly written?: number;
}

/** All ways within one process; closes them at the end of the scope. */
export class Ways implements Disposable, Iterable<Way> {
  readonly #channel = channel<unknown>({ capacity: 1 << 22 });
  readonly #cell: IpcArc<unknown>;

  /** @param cell The name of a cell that is not there. */
  constructor(cell: string) {
    this.#cell = IpcArc.create<unknown>(cell, null, { capacity: 1 << 22 });
  }

  readonly #ways: Way[] = [
    {
      name: "a channel",
      go: (value) => {
        const [sender, receiver] = this.#channel;
        sender.sendSync(value);
        return receiver.recvSync({ timeout: 0 });
      },
    },
    {
      name: "a channel, borrowed",
      go: (value) => {
        const [sender, receiver] = this.#channel;
        sender.sendSync(value);
        using borrowed = receiver.borrowSync({ timeout: 0 });
        return structuredClone(borrowed.value);
      },
    },
    {
      name: "a cell",
      go: (value) => {
        // What is given to update() must not be a promise, and it asks.
        if (types.isProxy(value) || types.isPromise(value)) this.#store(value);
        else this.#cell.updateSync(() => value);
        return this.#cell.read();
      },
    },
    {
      name: "the guard of a cell",
      written: 2, // when it is set, where a mistake is told at once, and when the guard is released
      go: (value) => {
        this.#store(value);
        using guard = this.#cell.acquireSync();
        return guard.value;
      },
    },
  ];

  [Symbol.iterator](): Iterator<Way> {
    return this.#ways[Symbol.iterator]();
  }

  /** Throws if something was sent, or stored, or nothing can be any more. */
  expectUntouched(): void {
    const [, receiver] = this.#channel;
    const got = receiver.tryRecv();
    if (got.state !== "empty") throw new Error(`Something was sent: ${Deno.inspect(got)}`);
    for (const way of this) {
      if (way.go("still usable") !== "still usable") throw new Error(`${way.name} is not usable any more`);
    }
  }

  #store(value: unknown): void {
    using guard = this.#cell.acquireSync();
    guard.value = value;
  }

  [Symbol.dispose](): void {
    for (const end of this.#channel) end.close();
    this.#cell.close();
  }
}
