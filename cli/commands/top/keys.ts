// Keys that act at once, a terminal that changes its size, and Ctrl-Z: what a page on the second screen has to mind.
import type { Screen } from "../../format/screen.ts";
import type { Stop } from "../../program/stop.ts";

/** Reads keys from the standard input, if that is a terminal. */
export class Keys implements Disposable {
  /** Whether keys are read. */
  readonly read: boolean;
  readonly #stop: Stop;
  readonly #screen: Screen;
  readonly #forget: (() => void)[] = [];

  /**
   * @param stop Ends it.
   * @param screen Left while the program is stopped by Ctrl-Z.
   */
  constructor(stop: Stop, screen: Screen) {
    this.#stop = stop;
    this.#screen = screen;
    this.read = Deno.stdin.isTerminal();
    if (this.read) this.#raw(true);
  }

  /** Each key by itself, and not shown; Ctrl-C and Ctrl-Z still do what they do. */
  #raw(on: boolean): void {
    Deno.stdin.setRaw(on, { cbreak: on });
  }

  /**
   * @param actions What keys do.
   * @param changed Called after one, and when the page has to be drawn again for another reason.
   */
  listen(actions: Readonly<Record<string, () => void>>, changed: () => void): void {
    this.#on("SIGWINCH", changed);
    if (!this.read) return;
    // Without the permission for it, Ctrl-Z does what it does everywhere.
    if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return this.#start(actions, changed);
    this.#on("SIGTSTP", () => {
      this.#screen.leave();
      this.#raw(false);
      Deno.kill(Deno.pid, "SIGSTOP");
    });
    this.#on("SIGCONT", () => {
      this.#raw(true);
      this.#screen.enter();
      changed();
    });
    this.#start(actions, changed);
  }

  #start(actions: Readonly<Record<string, () => void>>, changed: () => void): void {
    this.#follow(actions, changed).catch((error) => this.#stop.now(error));
  }

  #on(signal: Deno.Signal, listener: () => void): void {
    Deno.addSignalListener(signal, listener);
    this.#forget.push(() => Deno.removeSignalListener(signal, listener));
  }

  async #follow(actions: Readonly<Record<string, () => void>>, changed: () => void): Promise<void> {
    const buffer = new Uint8Array(64);
    while (!this.#stop.signal.aborted) {
      const count = await this.#stop.or(Deno.stdin.read(buffer));
      if (count === null) return; // the terminal is gone; a signal tells
      for (const key of new TextDecoder().decode(buffer.subarray(0, count))) {
        if (Object.hasOwn(actions, key)) actions[key]!();
      }
      if (!this.#stop.signal.aborted) changed();
    }
  }

  /** The terminal is as before. */
  [Symbol.dispose](): void {
    for (const forget of this.#forget.splice(0)) forget();
    if (this.read) this.#raw(false);
  }
}
