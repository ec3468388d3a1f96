// Arguments of one command, checked against its description.
import { parseArgs } from "@std/cli/parse-args";
import { type Call, type Command, type Flag, UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** Flags that every command has. */
export const COMMON_FLAGS: Readonly<Record<string, Flag>> = { help: { help: "Show this help", short: "h" } };

/** All flags of a command. */
export function flagsOf(command: Command): Readonly<Record<string, Flag>> {
  return { ...command.flags, ...COMMON_FLAGS };
}

/**
 * Parses what follows the name of a command.
 *
 * @throws {UsageError} If it does not fit.
 */
export function parseCall(command: Command, args: readonly string[]): Omit<Call, "out"> {
  const flags = flagsOf(command);
  const names = Object.keys(flags);
  const withValue = names.filter((name) => flags[name]!.value !== undefined);
  refuseValues(command, args, names.filter((name) => !withValue.includes(name)));
  const parsed: Record<string, unknown> = parseArgs(args.map(hideNumber), {
    string: [...withValue, "_"],
    boolean: names.filter((name) => !withValue.includes(name)),
    alias: Object.fromEntries(names.flatMap((name) => flags[name]!.short ? [[name, flags[name]!.short!]] : [])),
    unknown: (argument: string, key?: string) => {
      if (key === undefined) return true;
      const given = argument.split("=")[0]!;
      throw new UsageError(
        `Unknown flag "${given}" of "isthmus ${command.name}"${didYouMean(given, names.map((name) => `--${name}`))}`,
      );
    },
  });
  const operands = (parsed["_"] as (string | number)[]).map(String).map(showNumber);
  const values: Record<string, string | true | undefined> = {};
  for (const name of names) {
    const value = parsed[name];
    if (value === undefined || value === false) continue;
    if (withValue.includes(name) && value === "") {
      throw new UsageError(`"--${name}" needs a value: --${name}=${flags[name]!.value}`);
    }
    values[name] = value === true ? true : showNumber(String(value));
  }
  if (values["help"] === undefined) checkOperands(command, operands);
  return { operands, flags: values };
}

/** A flag that only is there or not takes no value: "--force=0" must not count as yes. */
function refuseValues(command: Command, args: readonly string[], switches: readonly string[]): void {
  const flags = flagsOf(command);
  for (const argument of args) {
    if (argument === "--") return;
    const [, given, value] = /^(--[^=]+|-[a-zA-Z]+)=(.*)$/s.exec(argument) ?? [];
    if (given === undefined) continue;
    const letter = given.startsWith("--") ? "" : given.at(-1)!;
    if (switches.some((name) => given === `--${name}` || letter === flags[name]!.short)) {
      throw new UsageError(`"${given}" takes no value, and "${value}" was given: leave the flag out for no`);
    }
  }
}

/** No flag begins with a digit, so "-5" is a number: marked by what no argument can hold. */
function hideNumber(argument: string): string {
  return /^-\d/.test(argument) ? `\0${argument}` : argument;
}

function showNumber(argument: string): string {
  return argument.startsWith("\0") ? argument.slice(1) : argument;
}

/**
 * The milliseconds that a flag asks for; `undefined` if it was not given.
 *
 * @throws {UsageError} If they are wrong.
 */
export function millisecondsOf({ flags }: Pick<Call, "flags">, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const milliseconds = Number(text);
  if (text === true || text.trim() === "" || !(milliseconds >= 0) || milliseconds === Infinity) {
    throw new UsageError(`"--${name}" takes milliseconds, from 0, and not "${text}"`);
  }
  return milliseconds;
}

/**
 * The whole number that a flag asks for; `undefined` if it was not given.
 *
 * @throws {UsageError} If it is not a number, or out of range.
 */
export function integerOf(
  { flags }: Pick<Call, "flags">,
  name: string,
  { least, most = Number.MAX_SAFE_INTEGER }: { least: number; most?: number },
): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text === true || !/^\d+$/.test(text) || number < least || number > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new UsageError(`"--${name}" takes a whole number, ${range}, and not "${text}"`);
  }
  return number;
}

function checkOperands(command: Command, operands: readonly string[]): void {
  const expected = command.operands ?? [];
  const missing = expected[operands.length];
  if (missing !== undefined && !missing.startsWith("[")) {
    throw new UsageError(`"isthmus ${command.name}" needs ${missing}`);
  }
  if (operands.length > expected.length && !expected.at(-1)?.endsWith("...]")) {
    throw new UsageError(`"isthmus ${command.name}" got an unexpected argument "${operands[expected.length]}"`);
  }
}
