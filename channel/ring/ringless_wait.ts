// How a receiver without a ring waits: looks for a while, then sleeps until a packet comes. See `ringless.ts`.
import { pollBriefly } from "../../ffi/event/brief_poll.ts";
import { anyBellAwaited } from "../../ffi/event/doorbell.ts";
import { waitReadable } from "../../ffi/event/readable.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { SpinBudget } from "./spin_budget.ts";
import { spinPause } from "./spin_pause.ts";

/** How a wait goes on: `over` says that nothing will come any more, but perhaps through a ring. */
type State = "message" | "empty" | "over";

/** Looks in a spin at most, some 0.4 µs each: together as long as a ring's consumer spins. */
const MAX_SPINS = 400;

/** Microseconds of a nap at most, likewise. */
const NAP = 160;

/** Milliseconds between two looks where a sender has closed all bells that it gets: it would have this isolate give them without end. */
const BLIND_LOOK = 10;

// Of all such receivers of this isolate: each has a wait or two, and the next one's will be as the last one's.
const spins = new SpinBudget(MAX_SPINS, 1), asyncSpins = new SpinBudget(MAX_SPINS, 0);

/** What messages come to. */
interface Receiver {
  next(): boolean;
  readonly over: boolean;
  readonly bell: { listenOn(): boolean };
}

/** The waits of one receiver without a ring. */
export class RinglessWait {
  readonly #receiver: Receiver;
  readonly #socket: IpcFd;
  #armedAt = 0;

  constructor(receiver: Receiver, socket: IpcFd) {
    this.#receiver = receiver;
    this.#socket = socket;
  }

  /** Looks without waiting. */
  poll(): State {
    const receiver = this.#receiver;
    return receiver.next() ? "message" : receiver.over ? "over" : "empty";
  }

  /**
   * Blocks until something is there.
   *
   * @param deadline On the clock of `performance.now()`.
   */
  sync(deadline: number): State | "timeout" {
    for (;;) {
      const spun = this.#spin(spins.polls), state = this.poll();
      if (state !== "empty") {
        spins.paid(spun);
        return state;
      }
      const began = performance.now(), found = waitReadable(this.#socket.fd, deadline);
      spins.inVain(performance.now() - began);
      if (!found) return "timeout";
    }
  }

  /** Looks for a message for a moment, or sleeps for one, if that has been paying: the event loop's turn costs more. */
  spinForNext(): boolean {
    if (asyncSpins.polls === 0) return asyncSpins.naps && !anyBellAwaited() && this.#nap();
    const spun = this.#spin(asyncSpins.polls);
    if (!this.#receiver.next()) return false;
    asyncSpins.paid(spun);
    return true;
  }

  #nap(): boolean {
    const began = performance.now();
    pollBriefly(this.#socket.fd, NAP);
    const found = this.#receiver.next();
    asyncSpins.napped(found ? performance.now() - began : undefined);
    return found;
  }

  /** Looks so many times whether anything is there; returns how many milliseconds that took. */
  #spin(polls: number): number {
    const { fd } = this.#socket, began = performance.now();
    for (let i = 0; i < polls && !waitReadable(fd, 0); i++) spinPause();
    return performance.now() - began;
  }

  /** An asynchronous wait begins. */
  begins(): void {
    this.#armedAt = performance.now();
  }

  /** An asynchronous wait has brought a message. */
  ended(): void {
    asyncSpins.inVain(performance.now() - this.#armedAt);
  }

  /**
   * Whatever comes rings, as its sender finds the bell in its queue: there is no flag.
   *
   * @returns Milliseconds until the next look by the clock, as of a ring's consumer; 0 if there need be none.
   */
  arm(): number {
    return this.#receiver.bell.listenOn() ? 0 : BLIND_LOOK;
  }

  /** Likewise. */
  disarm(): void {}
}
