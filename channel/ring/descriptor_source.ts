// Where a consumer gets the descriptors of messages from, and the bells of producers that wait for room.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";

/** Descriptors that came ahead of their record; not watched, as the queue is. */
export interface Arrived {
  readonly slot: number;
  readonly counter: number;
  /** The descriptors; of a bundle those that were taken out of it so far, and last the socket that holds the rest. */
  readonly fds: IpcFd[];
  /** Of a bundle: how many descriptors it is to hold. */
  readonly bundled?: number | undefined;
}

/** What a ring's consumer needs of the other side of the descriptors: see `descriptor_queue.ts`. */
export interface DescriptorSource {
  readonly socket: IpcFd;
  /** The socket goes to others, perhaps. */
  shared(): void;
  /** Never throws: it is called after a message was received. */
  spaceBells(): IpcFd[];
  take(slot: number, counter: number, count: number): IpcFd[];
  putBack(arrived: Arrived): void;
  readAll(): boolean;
  closeArrived(): void;
  surrender(): readonly Arrived[];
  adopt(arrived: readonly Arrived[]): void;
  close(): void;
}

/** Of a named ring: no descriptors, and one bell for all who wait for room. */
export class NoDescriptors implements DescriptorSource {
  /** The doorbell that wakes senders; owned by the ring's file. */
  readonly socket: IpcFd;

  constructor(room: IpcFd) {
    this.socket = room;
  }

  shared(): void {}

  spaceBells(): IpcFd[] {
    return [this.socket];
  }

  take(_slot: number, _counter: number, count: number): IpcFd[] {
    throw new IpcError("Corrupt", `Cannot receive a message: it claims ${count} descriptors, on a channel without any`);
  }

  putBack(): void {}

  readAll(): boolean {
    return true;
  }

  closeArrived(): void {}

  surrender(): readonly Arrived[] {
    return [];
  }

  adopt(): void {}

  close(): void {}
}
