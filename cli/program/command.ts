// What a command of the program is: a description that the help and the parser are made from, and a function.
import type { Output } from "../format/output.ts";

/** A flag of a command. */
export interface Flag {
  /** One line for the help. */
  readonly help: string;
  /** One letter that means the same. */
  readonly short?: string;
  /** What its value is called in the help, for a flag that takes one. */
  readonly value?: string;
}

/** How a command was called. */
export interface Call {
  /** The operands, as many as the command asks for. */
  readonly operands: readonly string[];
  /** The flags: `true`, or their text. */
  readonly flags: Readonly<Record<string, string | true | undefined>>;
  /** Where to write. */
  readonly out: Output;
}

/** One command. */
export interface Command {
  /** What users type. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** More, for the help of this command. */
  readonly details?: string;
  /**
   * Operands in the order they are given: "NAME", or "[NAME]" for one that may be left out; the last one may be
   * "[NAME...]", for any number.
   */
  readonly operands?: readonly string[];
  /** Flags, by name. */
  readonly flags?: Readonly<Record<string, Flag>>;
  /** Command lines, each with what it is good for. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** Not shown: something that the program runs itself as. */
  readonly hidden?: boolean;
  /** Does it; returns the exit code. */
  run(call: Call): number | Promise<number>;
}

/** Wrong arguments: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A failure that is the user's to mend, such as a name that is not there: its message says all. */
export class Refused extends Error {
  override name = "Refused";
  readonly code = "Refused";
}
