// The help of the command, and what its arguments mean.
import { parseArgs } from "node:util";
import { BridgeError } from "./log.ts";

/** What `--help` prints. */
export const HELP = `Carries Isthmus past one machine, over NATS.

Usage: deno task bridge COMMAND … [options]

  send PATH QUEUE            a named channel of this machine into a queue of NATS JetStream
  receive QUEUE PATH         a queue into a named channel of this machine
  serve PATH SUBJECT         calls of a subject to the program at an IpcServer's path, which exposes methods
  call SUBJECT PATH          an IpcServer at a path, whose clients call methods on whichever machine serves the subject
  publish TOPIC SUBJECT      a topic of this machine to a subject
  subscribe SUBJECT TOPIC    a subject into a topic of this machine
  store CELL BUCKET KEY      a cell of this machine to a key of a KV bucket; one machine stores a key
  mirror BUCKET KEY CELL     a key of a KV bucket to a cell of this machine, which is made if there is none

Options for where NATS is; by default the context that \`nats context select\` has chosen, else nats://127.0.0.1:4222:
  --context NAME             a context of the nats command, or the path of its file (NATS_CONTEXT)
  --server URL[,URL…]        servers, instead of those of the context (NATS_URL)

Options of what is made:
  --capacity BYTES           of a channel, topic or cell that does not exist yet
  --replicas N               servers that keep a copy of a new queue or bucket each (1)
  --max-bytes BYTES          that may wait in a new queue: then senders wait; -1 for no limit (-1)
  --window SECONDS           for which NATS knows a message of a new queue again (120)

Options of receive:
  --shared                   share the queue with other machines: each message goes to one of them
  --ack-wait SECONDS         after which another machine gets what a killed bridge had taken (60)
  --take-over                end another bridge that receives from the queue alone
  --skip-missing             go on without messages that were removed from the queue

A message is in the far channel once, and in its sender's order, also if a bridge is killed at any moment: see
docs/beyond-one-machine.md, which says what holds with --shared, for calls, topics and cells, too. A bridge runs until SIGINT or SIGTERM, and keeps what
it needs to know beside the channel: PATH.out-QUEUE and PATH.in-QUEUE.

Exit status: 0 after a signal, 1 if something failed, 2 if it was called wrongly.
`;

const OPTIONS = {
  context: { type: "string" },
  server: { type: "string" },
  capacity: { type: "string" },
  replicas: { type: "string" },
  "max-bytes": { type: "string" },
  window: { type: "string" },
  "ack-wait": { type: "string" },
  shared: { type: "boolean" },
  "take-over": { type: "boolean" },
  "skip-missing": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** It was called wrongly. */
export class UsageError extends BridgeError {}

/** The arguments of the command line. */
export class Arguments {
  /** What is no option. */
  readonly operands: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | undefined>>;

  /** @throws {UsageError} If there is an unknown option. */
  constructor(args: string[]) {
    try {
      const { positionals, values } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
      this.operands = positionals;
      this.#values = values;
    } catch (error) {
      throw new UsageError((error as Error).message);
    }
  }

  /** The text of an option. */
  text(name: keyof typeof OPTIONS): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** Whether an option is there. */
  has(name: keyof typeof OPTIONS): boolean {
    return this.#values[name] !== undefined;
  }

  /** The number that an option gives. */
  number(name: keyof typeof OPTIONS, otherwise: number, from: number): number {
    return this.maybe(name, from) ?? otherwise;
  }

  /** The same, if it is there. */
  maybe(name: keyof typeof OPTIONS, from: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const number = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(number) && number >= from) return number;
    throw new UsageError(`--${name} is "${text}": it must be an integer from ${from}`);
  }

  /** Exactly so many operands behind the command. */
  take(names: string): string[] {
    const wanted = names.split(" "), given = this.operands.slice(1);
    if (given.length < wanted.length) throw new UsageError(`${this.operands[0]} needs ${names}`);
    if (given.length > wanted.length) throw new UsageError(`unexpected argument "${given[wanted.length]}"`);
    return given;
  }
}
