// Finds the command that is meant, runs it, and turns its result into an exit code.
import config from "../deno.json" with { type: "json" };
import { parseCall } from "./program/arguments.ts";
import { bench } from "./commands/bench/bench.ts";
import { benchPeer } from "./commands/bench/peer.ts";
import { type Command, UsageError } from "./program/command.ts";
import { completionsOf } from "./commands/completions/completions.ts";
import { doctor } from "./commands/doctor/doctor.ts";
import { doctorPeer } from "./commands/doctor/peer.ts";
import { gc } from "./commands/gc.ts";
import { commandHelp, programHelp } from "./program/help.ts";
import { ls } from "./commands/ls.ts";
import { didYouMean } from "./program/nearest.ts";
import { names } from "./commands/names.ts";
import { publish } from "./commands/publish.ts";
import { recv } from "./commands/recv.ts";
import { rm } from "./commands/rm.ts";
import { send } from "./commands/send.ts";
import { set } from "./commands/set.ts";
import { show } from "./commands/show/show.ts";
import { subscribe } from "./commands/subscribe.ts";
import { Output, ReaderGone } from "./format/output.ts";
import { top } from "./commands/top/top.ts";
import { watch } from "./commands/watch.ts";

/** All commands, in the order of the help. A new one is a file of its own and a line here. */
const COMMANDS: readonly Command[] = [
  ls,
  show,
  top,
  watch,
  set,
  gc,
  rm,
  send,
  recv,
  publish,
  subscribe,
  bench,
  doctor,
  completionsOf(() => COMMANDS),
  names,
  doctorPeer,
  benchPeer,
];

const FAILED = 1;
const MISUSED = 2;

/** Runs the program; returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const out = new Output(Deno.stdout);
  const errors = new Output(Deno.stderr);
  try {
    return await dispatch(args, out, errors);
  } catch (error) {
    if (error instanceof ReaderGone) return 0; // as after `| head`: the reader has what it wanted
    return complain(error, errors);
  }
}

function dispatch(args: readonly string[], out: Output, errors: Output): number | Promise<number> {
  const [first, ...rest] = args;
  switch (first) {
    case undefined:
      errors.line(programHelp(COMMANDS, errors));
      return MISUSED;
    case "--version":
    case "-V":
      out.line(`isthmus ${config.version}`);
      return 0;
    case "--help":
    case "-h":
      out.line(programHelp(COMMANDS, out));
      return 0;
    case "help":
      out.line(rest[0] === undefined ? programHelp(COMMANDS, out) : commandHelp(find(rest[0]), out));
      return 0;
  }
  const command = find(first);
  const call = parseCall(command, rest);
  if (call.flags["help"] !== undefined) {
    out.line(commandHelp(command, out));
    return 0;
  }
  return command.run({ ...call, out });
}

function find(name: string): Command {
  const found = COMMANDS.find((command) => command.name === name);
  if (found !== undefined) return found;
  if (name.startsWith("-")) {
    throw new UsageError(`Unknown flag "${name}"${didYouMean(name, ["--help", "--version"])}`);
  }
  const names = COMMANDS.filter((command) => !command.hidden).map((command) => command.name);
  throw new UsageError(`Unknown command "${name}"${didYouMean(name, [...names, "help"])}`);
}

function complain(error: unknown, errors: Output): number {
  const text = error instanceof Error ? error.message : String(error);
  try {
    errors.line(`${errors.paint("red", "isthmus:")} ${text}`);
    if (error instanceof UsageError) errors.line('Run "isthmus --help" to see what there is');
    // What neither this package nor the system refused is a mistake in this program, and its stack is worth reading.
    else if (error instanceof Error && !("code" in error)) errors.line(error.stack);
  } catch (failure) {
    if (!(failure instanceof ReaderGone)) throw failure;
  }
  return error instanceof UsageError ? MISUSED : FAILED;
}
