// What can be completed, taken from the descriptions of the commands: all three scripts are made from it.
import { flagsOf } from "../../program/arguments.ts";
import type { Command } from "../../program/command.ts";

/** What the operands of a command are. */
export type Operands = "names" | "files" | "shells" | "none";

/** One command, for a shell. */
export interface Words {
  readonly name: string;
  readonly summary: string;
  /** Flags as they are typed; one that takes a value ends in "=". */
  readonly flags: readonly { readonly text: string; readonly help: string }[];
  readonly operands: Operands;
}

/** The shells that there are scripts for. */
export const SHELLS: readonly string[] = ["bash", "zsh", "fish"];

/** Flags of the program itself. */
export const PROGRAM_FLAGS: readonly string[] = ["--help", "--version"];

/** The words of each command. */
export function wordsOf(commands: readonly Command[]): Words[] {
  return commands.map((command) => ({
    name: command.name,
    summary: command.summary,
    flags: Object.entries(flagsOf(command)).map(([name, { help, value }]) => ({
      text: `--${name}${value === undefined ? "" : "="}`,
      help,
    })),
    operands: operandsOf(command),
  }));
}

function operandsOf({ operands = [] }: Command): Operands {
  const first = operands[0]?.replace(/[[\].]/g, "");
  switch (first) {
    case "NAME":
      return "names";
    case "PATH":
      return "files";
    case "SHELL":
      return "shells";
    default:
      return "none";
  }
}

/** A text within single quotes, for any of the shells. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
