// What the scenarios of the matrix are given, and how they look at what a driver has said.
import { assertEquals } from "@std/assert";
import type { Driver } from "../../support/driver.ts";
import type { Pool } from "./pool.ts";

/** Where one scenario runs, and who is in it. */
export interface Place {
  /** The language that sends, makes and serves. */
  readonly first: Pool;
  /** The language that receives, loads and connects. */
  readonly second: Pool;
  /** A folder of its own, in memory. */
  readonly folder: string;
  /** A name of its own, for a cell. */
  readonly cell: string;
  /** How often this scenario kills. */
  readonly kills: number;
}

/** A stretch of messages that were received one behind the other. */
export type Run = readonly [first: number, last: number];

/** The runs that `drain` has said. */
export function runsOf(answer: string): Run[] {
  const [word, ...runs] = answer.split(" ");
  assertEquals(word, "ok", answer);
  return runs.map((run) => run.split(":").map(Number) as [number, number]);
}

/** A whole number from 0 to `below` - 1. */
export const random = (below: number) => Math.floor(Math.random() * below);

/** Lets a random moment pass, in which the programs go on: so that a kill may come at any step. */
export async function randomMoment(): Promise<void> {
  const until = performance.now() + Math.random() * 2;
  while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
}

/** The last word for a command that a language may do blocking; by turns, if it can. */
export async function mode(pool: Pool, turn: number): Promise<string> {
  return turn % 2 === 1 && await pool.has("sync") ? " sync" : "";
}

/** The driver must say "ok" to what it was told. */
export async function expectOk(driver: Driver): Promise<string> {
  const answer = await driver.answer();
  assertEquals(answer.split(" ")[0], "ok", answer);
  return answer.slice(3);
}
