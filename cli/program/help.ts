// The help, made from the descriptions of the commands.
import { flagsOf } from "./arguments.ts";
import type { Command } from "./command.ts";
import type { Output } from "../format/output.ts";

/** The help of the program. */
export function programHelp(commands: readonly Command[], out: Output): string {
  const shown = commands.filter((command) => !command.hidden);
  return [
    "Channels and shared cells between processes.",
    "",
    `${out.paint("bold", "Usage:")} isthmus COMMAND [FLAGS] [OPERANDS]`,
    "",
    out.paint("bold", "Commands:"),
    ...columns(shown.map((command) => [nameAndOperands(command), command.summary]), out.columns),
    "",
    out.paint("bold", "Flags:"),
    ...columns([["-h, --help", "Show help, also of one command"], ["-V, --version", "Show the version"]], out.columns),
    "",
    ...wrapped(
      'Exit codes: 0 done, 1 failed, 2 wrong arguments. "isthmus COMMAND --help" tells more.',
      out.columns,
    ),
  ].join("\n");
}

/** The help of one command. */
export function commandHelp(command: Command, out: Output): string {
  const flags = Object.entries(flagsOf(command)).map(([name, flag]): [string, string] => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    return [`${short}--${name}${flag.value === undefined ? "" : `=${flag.value}`}`, flag.help];
  });
  return [
    ...wrapped(`${command.summary}.`, out.columns),
    ...(command.details === undefined ? [] : ["", ...paragraphs(command.details, out.columns)]),
    "",
    `${out.paint("bold", "Usage:")} isthmus ${nameAndOperands(command)} [FLAGS]`,
    "",
    out.paint("bold", "Flags:"),
    ...columns(flags, out.columns),
    "",
    out.paint("bold", "Examples:"),
    ...columns(command.examples, out.columns),
  ].join("\n");
}

function nameAndOperands(command: Command): string {
  return [command.name, ...(command.operands ?? [])].join(" ");
}

/** Columns that text is wrapped at where there is room for more. */
const TEXT_WIDTH = 100;

/** Two columns; where the terminal is too narrow for them, what belongs on the right stands beneath. */
function columns(rows: readonly (readonly [string, string])[], available: number): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  if (rows.every(([, right]) => width + 4 + right.length <= available)) {
    return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  }
  return rows.flatMap((
    [left, right],
  ) => [`  ${left}`, ...wrapped(right, available - 6).map((line) => `      ${line}`)]);
}

/** Text whose paragraphs are apart by a blank line, as lines. How it is broken in the source means nothing. */
function paragraphs(text: string, available: number): string[] {
  return text.split(/\n{2,}/).flatMap((paragraph, i) => [...(i === 0 ? [] : [""]), ...wrapped(paragraph, available)]);
}

function wrapped(text: string, available: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > Math.min(available, TEXT_WIDTH)) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
