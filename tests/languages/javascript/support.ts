// What the scenarios share: they run in Node.js and Bun, so they use nothing of Deno.
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

export { assert };

/** Milliseconds that anything may take: not a measure of speed. */
export const WAIT = { timeout: 60_000 };

/** Whether this is Bun. */
export const isBun = "Bun" in globalThis;

/** A folder of this run alone, in memory; the test removes it. */
export const folder = process.argv[3] ?? "";
/** What the names of cells and locks of this run begin with. */
export const prefix = process.argv[4] ?? "";

/** Does something, which must fail with an error of this code. */
export async function assertCode(code: string, act: () => unknown): Promise<void> {
  await assert.rejects(async () => void (await act()), (error: { code?: string; message: string }) => {
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** Another process with the same program, which does a role. */
export class Peer {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | string>;
  #words = "";
  #news = Promise.withResolvers<void>();

  constructor(role: string, ...args: string[]) {
    const all = [...process.execArgv, process.argv[1]!, role, folder, prefix, ...args];
    this.#child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout!.on("data", (data) => {
      this.#words += data;
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    });
    this.#ended = new Promise((resolve) => this.#child.on("exit", (code, signal) => resolve(signal ?? code ?? -1)));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Waits until it has said a word. */
  async said(word: string): Promise<void> {
    while (!this.#words.split("\n").includes(word)) {
      const ended = this.#ended.then((how) => assert.fail(`the peer ended, ${how}, before it said "${word}"`));
      await Promise.race([this.#news.promise, ended]);
    }
  }

  /** Waits until it has ended as it should. */
  async done(): Promise<void> {
    assert.equal(await this.#ended, 0, "the peer failed; its error is printed above");
  }

  /** Kills it at once, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** Says a word to the process that started this one. */
export function say(word: string): void {
  process.stdout.write(`${word}\n`);
}

/** Waits until this process is killed. */
export async function waitForDeath(): Promise<never> {
  setInterval(() => {}, 1000);
  return await new Promise<never>(() => {});
}
