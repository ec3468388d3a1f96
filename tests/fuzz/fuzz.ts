// Runs a check for one seed after another, and makes what fails as small as it can be.
import { Choices, shrink } from "../support/choices.ts";
import type { Check, Finding } from "./checks.ts";

/** One failure, made small. */
export interface Report {
  readonly name: string;
  readonly seed: number;
  readonly finding: Finding;
  /** Decisions that make it again. */
  readonly taken: readonly number[];
}

export interface FuzzOptions {
  readonly count: number;
  /** The first seed; the others follow it. */
  readonly seed: number;
  /** Stops after so many failures. @default 1 */
  readonly most?: number;
  readonly progress?: (line: string) => void;
}

/** The same fault shows itself in many ways: without what differs between them. */
function kindOf({ wrong }: Finding): string {
  const [what = "", path = ""] = wrong.split("\n")[0]!.replace(/"(?:[^"\\]|\\.)*"/g, '""').split(", at value");
  return what.replace(/\d+/g, "0").slice(0, 60) + (/\.\w+(?:\(\))?$/.exec(path)?.[0] ?? "");
}

/** Runs a check; returns one failure of each kind. */
export function fuzz(name: string, check: Check, { count, seed, most = 1, progress }: FuzzOptions): Report[] {
  const reports: Report[] = [];
  const kinds = new Set<string>();
  for (let i = 0; i < count && reports.length < most; i++) {
    const choices = Choices.of(seed + i);
    const finding = check(choices);
    if (progress !== undefined && i > 0 && i % 50_000 === 0) progress(`${name}: ${i} of ${count}`);
    if (finding === undefined || kinds.has(kindOf(finding))) continue;
    const kind = kindOf(finding);
    kinds.add(kind);
    progress?.(`${name}, seed ${seed + i}: ${finding.wrong.slice(0, 300)}`);
    const taken = shrink(choices.taken, (choices) => {
      const other = check(choices);
      return other !== undefined && kindOf(other) === kind;
    });
    reports.push({ name, seed: seed + i, finding: check(Choices.again(taken)) ?? finding, taken });
  }
  return reports;
}
