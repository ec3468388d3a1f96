// Messages as Python's cbor2 takes them: the two must agree on what is well-formed.
import { decodeCbor } from "../../cbor/mod.ts";
import { Choices } from "../support/choices.ts";
import { anyMessage } from "./bytes.ts";
import { judge } from "./well_formed.ts";

const PROGRAM = `
import sys, io, cbor2
for line in sys.stdin:
    data = bytes.fromhex(line)
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, str_errors="strict").decode()
        rest = len(data) - stream.tell()
        print("read" if rest == 0 else "rest")
    except Exception as error:
        print("refused", type(error).__name__, str(error)[:80].replace("\\n", " "))
`;

/** The interpreter: `ISTHMUS_PYTHON`, if it is set. */
const python = () => Deno.env.get("ISTHMUS_PYTHON") ?? "python3";

/** Whether there is a Python with cbor2. */
export function hasPython(): boolean {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return false;
  if (Deno.permissions.querySync({ name: "env" }).state !== "granted") return false;
  try {
    return new Deno.Command(python(), { args: ["-c", "import cbor2"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

/**
 * Where the two may differ: of messages with tags each reads its own; and nothing else.
 */
function comparable(bytes: Uint8Array<ArrayBuffer>): boolean {
  return bytes.length > 0 && !judge(bytes).tagged;
}

/** Shows both so many messages; returns what they do not agree on. */
export async function agreeWithPython(count: number, seed: number): Promise<string[]> {
  const messages: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; messages.length < count; i++) {
    const bytes = anyMessage(Choices.of(seed + i));
    if (comparable(bytes)) messages.push(bytes);
  }
  const process = new Deno.Command(python(), { args: ["-c", PROGRAM], stdin: "piped", stdout: "piped" }).spawn();
  const writing = (async () => {
    const writer = process.stdin.getWriter();
    const encoder = new TextEncoder();
    for (let at = 0; at < messages.length; at += 1000) {
      await writer.write(encoder.encode(messages.slice(at, at + 1000).map((bytes) => bytes.toHex() + "\n").join("")));
    }
    await writer.close();
  })();
  const { stdout } = await process.output();
  await writing;
  const answers = new TextDecoder().decode(stdout).split("\n");
  const differences: string[] = [];
  messages.forEach((bytes, i) => {
    let here = "read";
    try {
      decodeCbor(bytes);
    } catch (error) {
      here = `refused ${(error as Error).message}`;
    }
    const there = answers[i] ?? "nothing";
    if ((here === "read") !== (there === "read")) {
      differences.push(`${bytes.toHex()}: here ${here}; in Python ${there}`);
    }
  });
  return differences;
}
