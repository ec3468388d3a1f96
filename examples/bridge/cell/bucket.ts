// The KV bucket of cells.
import { type KV, Kvm } from "@nats-io/kv";
import type { Connection } from "../connection.ts";
import { BridgeError, type Trouble } from "../log.ts";
import { resting } from "../queue/outbox.ts";

/** Milliseconds between attempts. */
const PAUSE = 1000;

/** Which value of which bucket, and how that is made if there is none. */
export interface KeyOptions {
  readonly bucket: string;
  readonly key: string;
  readonly replicas: number;
}

/** @throws {BridgeError} If the names cannot be used. */
export function checkKey({ bucket, key }: { bucket: string; key: string }): void {
  if (!/^[A-Za-z0-9_-]+$/.test(bucket)) {
    throw new BridgeError(`Cannot use "${bucket}" as the name of a bucket: letters, digits, "-" and "_" only`);
  }
  if (!/^[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*$/.test(key)) {
    throw new BridgeError(
      `Cannot use "${key}" as a key: letters, digits, "-", "_", "=" and "/", with "." between words`,
    );
  }
}

/** Opens the bucket, which is made if there is none; goes on trying until the signal. */
export async function openBucket(
  { jetstream }: Connection,
  { bucket, replicas }: KeyOptions,
  trouble: Trouble,
  signal: AbortSignal,
): Promise<KV | undefined> {
  while (!signal.aborted) {
    try {
      return await new Kvm(jetstream).create(bucket, { history: 1, replicas });
    } catch (error) {
      trouble.failed(error);
      await resting(PAUSE, signal);
    }
  }
  return undefined;
}
