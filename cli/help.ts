// The help, made from the descriptions of the commands.
import { flagsOf } from "./arguments.ts";
import type { Command } from "./command.ts";
import type { Output } from "./output.ts";

/** The help of the program. */
export function programHelp(commands: readonly Command[], out: Output): string {
  const shown = commands.filter((command) => !command.hidden);
  return [
    "Channels and shared cells between processes.",
    "",
    `${out.paint("bold", "Usage:")} isthmus COMMAND [FLAGS] [OPERANDS]`,
    "",
    out.paint("bold", "Commands:"),
    ...columns(shown.map((command) => [nameAndOperands(command), command.summary])),
    "",
    out.paint("bold", "Flags:"),
    ...columns([["-h, --help", "Show help, also of one command"], ["-V, --version", "Show the version"]]),
    "",
    'Exit codes: 0 done, 1 failed, 2 the arguments make no sense. "isthmus COMMAND --help" tells more.',
  ].join("\n");
}

/** The help of one command. */
export function commandHelp(command: Command, out: Output): string {
  const flags = Object.entries(flagsOf(command)).map(([name, flag]): [string, string] => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    return [`${short}--${name}${flag.value === undefined ? "" : `=${flag.value}`}`, flag.help];
  });
  return [
    `${command.summary}.`,
    ...(command.details === undefined ? [] : ["", command.details]),
    "",
    `${out.paint("bold", "Usage:")} isthmus ${nameAndOperands(command)} [FLAGS]`,
    "",
    out.paint("bold", "Flags:"),
    ...columns(flags),
    "",
    out.paint("bold", "Examples:"),
    ...columns(command.examples),
  ].join("\n");
}

function nameAndOperands(command: Command): string {
  return [command.name, ...(command.operands ?? [])].join(" ");
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
