// A cell of this machine to a key of a bucket. The latest value gets there, also if the server was away; those in between may
// be left out, as for those who watch the cell here.
import type { KV } from "@nats-io/kv";
import { IpcArc } from "../../../mod.ts";
import { Codec } from "../codec.ts";
import type { Connection } from "../connection.ts";
import { Trouble } from "../log.ts";
import { resting } from "../queue/outbox.ts";
import { type KeyOptions, openBucket } from "./bucket.ts";

/** Milliseconds between attempts. */
const PAUSE = 500;

/** Stores the values of a cell. */
export class CellStore implements Disposable {
  readonly #connection: Connection;
  readonly #cell: IpcArc<unknown>;
  readonly #options: KeyOptions;
  readonly #codec = new Codec();
  readonly #trouble = new Trouble("storing the cell");

  /** @throws {IpcError} If there is no such cell, or it has a layout. */
  constructor(connection: Connection, cell: string, options: KeyOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#cell = IpcArc.load(cell);
  }

  /** Stores until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const bucket = await openBucket(this.#connection, this.#options, this.#trouble, signal);
    if (bucket === undefined) return;
    const changes = this.#cell.watch({ signal })[Symbol.asyncIterator](); // before the first look, so that nothing falls between
    let change = changes.next();
    for (let value = this.#cell.read();;) {
      await this.#put(bucket, value, signal);
      let done: boolean | undefined;
      try {
        ({ done, value } = await change);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      if (done === true || signal.aborted) return;
      change = changes.next();
    }
  }

  async #put(bucket: KV, value: unknown, signal: AbortSignal): Promise<void> {
    const { key } = this.#options;
    while (!signal.aborted) {
      try {
        await bucket.put(key, this.#codec.encode(value));
        this.#trouble.worked();
        return;
      } catch (error) {
        this.#trouble.failed(error);
        await resting(PAUSE, signal);
        value = this.#cell.read(); // the latest one will do
      }
    }
  }

  /** Leaves the cell. */
  [Symbol.dispose](): void {
    this.#cell.close();
    this.#codec[Symbol.dispose]();
  }
}
