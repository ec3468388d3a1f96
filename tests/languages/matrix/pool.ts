// Drivers that run: kept from one test to the next, as starting one takes longer than most tests.
import type { Driver } from "../../support/driver.ts";
import type { Language } from "./languages.ts";

/** The drivers of one language. */
export class Pool {
  readonly #language: Language;
  readonly #idle: Driver[] = [];
  /** Those that a test has now. */
  readonly #taken = new Set<Driver>();
  /** What the language has, by its driver's own words. */
  #words: ReadonlySet<string> | undefined;

  constructor(language: Language) {
    this.#language = language;
  }

  get name(): string {
    return this.#language.name;
  }

  /** A driver that does nothing now. */
  take(): Driver {
    const driver = this.#idle.pop() ?? this.#language.start();
    this.#taken.add(driver);
    return driver;
  }

  /** Has another one start meanwhile: one that runs is going to be killed. */
  prepare(): void {
    if (this.#idle.length === 0) this.#idle.push(this.#language.start());
  }

  /** A driver that has closed all it had. */
  giveBack(driver: Driver): void {
    this.#taken.delete(driver);
    this.#idle.push(driver);
  }

  /** Whether the language has something: "server", "sync". */
  async has(word: string): Promise<boolean> {
    if (this.#words === undefined) {
      const driver = this.take();
      this.#words = new Set((await driver.ok("hello")).split(" "));
      this.giveBack(driver);
    }
    return this.#words.has(word);
  }

  /** Ends those that a test has not given back: it has failed, and what they do is not known. */
  async endStrays(): Promise<void> {
    const strays = [...this.#taken];
    this.#taken.clear();
    for (const driver of strays) await driver.kill();
  }

  /** Ends all that nobody uses. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((driver) => driver[Symbol.asyncDispose]()));
  }
}
