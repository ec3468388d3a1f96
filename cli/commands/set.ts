// `isthmus set`: gives a shared cell another value.
import { type CellInfo, CellPeek, type ReadLayout } from "../../arc/inspect/mod.ts";
import { IpcArc } from "../../arc/mod.ts";
import { IpcError } from "../../base/error.ts";
import { millisecondsOf } from "../program/arguments.ts";
import { type Command, Refused, UsageError } from "../program/command.ts";
import { jsonOf } from "../format/json_value.ts";
import { processesText } from "../format/holders.ts";
import { checkName, isPath } from "../program/operand_name.ts";
import { noCell } from "../program/not_there.ts";
import { inputPieces } from "../program/standard_input.ts";
import { Stop } from "../program/stop.ts";
import { TRUST_FLAG, trustOf } from "../program/trust.ts";
import { valueOfArgument } from "../program/value_argument.ts";

/** Stands for the standard input. */
const INPUT = "-";

/** Bytes read at a time. */
const PIECE = 65_536;

/** JSON may be longer than the value that it becomes: by an escaped letter of six for one, and by blanks. */
const JSON_PER_BYTE = 8;

/** The command. */
export const set: Command = {
  name: "set",
  summary: "Give a shared cell another value, under its lock",
  details: [
    'VALUE is JSON; what JSON lacks is an object such as {"$bigint":"12"} or {"$bytes":"AQI="}, as "isthmus show"',
    'prints it. "-" reads it from the standard input. The lock is waited for, the value is written, the lock is given',
    "back; who watches the cell sees one change.",
    "",
    "A cell with a layout takes all fields of a struct and all elements of an array, numbers for u64 and i64 as well. It",
    "is refused where its header does not describe the layout, as with cells that a program in C has made.",
  ].join("\n"),
  operands: ["NAME", "VALUE"],
  flags: {
    timeout: { help: "Wait for the lock no longer than this; without it, as long as it takes", value: "MS" },
    json: { help: "Print one JSON document" },
    ...TRUST_FLAG,
  },
  examples: [
    ["isthmus set level '\"debug\"'", "a text: quotes for JSON inside quotes for the shell"],
    ["isthmus set progress '{\"done\": 3}' --timeout=1000", "give up after a second"],
    ["isthmus show old --json | jq .value | isthmus set new -", "copy a value"],
  ],
  async run(call): Promise<number> {
    const [name, text] = call.operands as [string, string];
    const { flags, out } = call;
    const timeout = millisecondsOf(call, "timeout") ?? Infinity;
    if (isPath(checkName(name))) throw new UsageError(`"${name}" is a path: "isthmus send" sends to named channels`);
    using stop = new Stop();
    const { info, known } = lookAt(name);
    const given = valueOfArgument(text === INPUT ? await readInput(info.capacity * JSON_PER_BYTE, stop) : text);
    const trust = trustOf(call);
    using cell = IpcArc.load<unknown>(name, known === undefined ? trust : { ...trust, layout: known.layout });
    const ownerDied = await put(cell, () => known === undefined ? given : known.fit(given), timeout, stop);
    if (flags["json"]) out.json({ name, value: jsonOf(given), ownerDied });
    else out.line(`set ${name}${ownerDied ? "; the last owner of its lock had died holding it" : ""}`);
    return 0;
  },
};

function lookAt(name: string): { info: CellInfo; known: ReadLayout | undefined } {
  using peek = CellPeek.open(name);
  if (peek === undefined) throw noCell("set", name);
  const info = peek.info();
  // Before it is loaded, which removes a cell that nobody holds.
  if (info.stale) {
    throw new Refused(`Cannot set "${name}": its holders have ended, and nobody would see it; "isthmus rm" removes it`);
  }
  if (info.kind === "cbor") return { info, known: undefined };
  const known = peek.layout();
  if (known === undefined) {
    throw new Refused(
      `Cannot set "${name}": its header does not describe its layout, so where a value goes is unknown`,
    );
  }
  return { info, known };
}

/** Returns whether the last owner of the lock had died holding it. */
async function put(cell: IpcArc<unknown>, value: () => unknown, timeout: number, stop: Stop): Promise<boolean> {
  try {
    using guard = await cell.acquire({ timeout, signal: stop.signal });
    guard.value = value();
    guard.release(); // here, where it may fail
    return guard.ownerDied;
  } catch (error) {
    // What does not fit the layout.
    if (error instanceof TypeError || error instanceof RangeError) {
      throw new Refused(`Cannot set "${cell.name}": ${error.message}`);
    }
    if (error instanceof IpcError && error.code === "Timeout") throw new Refused(error.message + ownerOf(cell.name));
    throw error;
  }
}

function ownerOf(name: string): string {
  using peek = CellPeek.open(name);
  const owner = peek?.info().lockedBy;
  return owner === undefined ? "" : `; ${processesText([owner])} has the lock`;
}

async function readInput(limit: number, stop: Stop): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  try {
    for await (const piece of inputPieces(PIECE, stop)) {
      text += decoder.decode(piece, { stream: true });
      if (text.length > limit) throw new Refused("Cannot set a value that is longer than the cell can hold");
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new Refused("Cannot read the value: the standard input is not UTF-8");
    throw error;
  }
}
