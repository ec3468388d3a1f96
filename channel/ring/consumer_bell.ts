// The doorbell of a ring's consumer, as its producers ring it.
import { bellToGive, isShared, makeOwn, ringBell, ringSharedBell } from "../../ffi/event/doorbell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { step } from "../../base/step_hook.ts";
import { W_BELL } from "./layout.ts";

/** So many times an end that a peer shares is rung as it is: many channels carry one answer. */
const SHARED_RINGS = 4;

/** Wakes the consumer of one ring. */
export class ConsumerBell {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #end: IpcFd;
  /** Its number, which does not change. */
  readonly fd: number;
  /** Rings it; in another way where a peer could make that block. */
  #write: (fd: number) => boolean;
  /** Rings until an end that a peer shares is opened anew; 0 once it was tried. */
  #sharedRings = SHARED_RINGS;

  /** Owns the end. */
  constructor(words: Int32Array<ArrayBuffer>, end: IpcFd) {
    this.#words = words;
    this.#end = end;
    this.fd = end.fd;
    this.#write = isShared(end) ? ringSharedBell : ringBell;
  }

  /**
   * Wakes a consumer that waits.
   *
   * @param ticket What BELL says: the number of its wait.
   * @returns `false` if no consumer is left.
   */
  ring(ticket: number): boolean {
    step("ringing");
    if (this.#sharedRings > 0 && --this.#sharedRings === 0) this.#makeOwn();
    // pair: byte/BELL. The byte before the flag. If this process dies in between, the consumer is awake and clears the flag.
    const heard = this.#write(this.fd);
    // The ticket makes sure that it is this wait's flag that is cleared, not the flag of a wait that began meanwhile.
    if (heard) Atomics.compareExchange(this.#words, W_BELL, ticket, 0);
    return heard;
  }

  #makeOwn(): void {
    if (!isShared(this.#end)) return;
    makeOwn(this.#end);
    if (!isShared(this.#end)) this.#write = ringBell;
  }

  /** Another end, to give away, that its owner cannot make this one block by. */
  endToGive(): IpcFd {
    const given = bellToGive(this.#end);
    if (isShared(this.#end)) this.#write = ringSharedBell;
    return given;
  }

  close(): void {
    this.#end.close();
  }
}
