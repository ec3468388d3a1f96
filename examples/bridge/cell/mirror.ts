// A key of a bucket to a cell of this machine, which programs read and watch like any other. It is made with the first value.
import { IpcArc } from "../../../mod.ts";
import { Codec } from "../codec.ts";
import type { Connection } from "../connection.ts";
import { say, textOf, Trouble } from "../log.ts";
import { resting } from "../queue/outbox.ts";
import { type KeyOptions, openBucket } from "./bucket.ts";

/** Milliseconds between attempts. */
const PAUSE = 500;

/** Copies the values of a key into a cell. */
export class CellMirror implements Disposable {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #options: KeyOptions & { readonly capacity: number | undefined };
  readonly #codec = new Codec();
  readonly #trouble = new Trouble("watching the key");
  #cell: IpcArc<unknown> | undefined;

  /** @param name Of the cell. */
  constructor(
    connection: Connection,
    name: string,
    options: KeyOptions & { readonly capacity: number | undefined },
  ) {
    this.#connection = connection;
    this.#name = name;
    this.#options = options;
  }

  /** Copies until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const bucket = await openBucket(this.#connection, this.#options, this.#trouble, signal);
        if (bucket === undefined) return;
        const entries = await bucket.watch({ key: this.#options.key });
        this.#trouble.worked();
        const stop = () => entries.stop();
        signal.addEventListener("abort", stop);
        try {
          for await (const { operation, value } of entries) {
            if (operation === "PUT") await this.#set(value, signal);
            else say(`the key "${this.#options.key}" was removed: the cell "${this.#name}" keeps its last value`);
          }
        } finally {
          signal.removeEventListener("abort", stop);
          stop();
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#trouble.failed(error);
      }
      await resting(PAUSE, signal);
    }
  }

  async #set(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    let value: unknown;
    try {
      value = this.#codec.decode(bytes);
    } catch (error) {
      say(`a value of the key "${this.#options.key}" is left out: ${textOf(error)}`);
      return;
    }
    try {
      if (this.#cell === undefined) {
        const { capacity } = this.#options;
        this.#cell = IpcArc.createOrLoad<unknown>(this.#name, value, capacity === undefined ? {} : { capacity });
      }
      await this.#cell.update(() => value, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      say(`a value of the key "${this.#options.key}" is left out: ${textOf(error)}`);
    }
  }

  /** Leaves the cell. */
  [Symbol.dispose](): void {
    this.#cell?.close();
    this.#codec[Symbol.dispose]();
  }
}
