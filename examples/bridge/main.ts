// `deno task bridge`: see usage.ts.
import { type Connection, connectTo } from "./connection.ts";
import { BridgeError, say, textOf } from "./log.ts";
import { Inbox } from "./queue/inbox.ts";
import { Outbox } from "./queue/outbox.ts";
import { Queue } from "./queue/stream.ts";
import { Arguments, HELP, UsageError } from "./usage.ts";

/** What a command does until the signal. */
type Work = Disposable & { run(signal: AbortSignal): Promise<void> };

/** A command: looks at its arguments, and returns what is to be done with a connection. */
type Command = (args: Arguments) => (connection: Connection) => Work;

const queueOptions = (args: Arguments) => ({
  replicas: args.number("replicas", 1, 1),
  maxBytes: args.number("max-bytes", -1, -1),
  window: args.number("window", 120, 1),
  capacity: args.maybe("capacity", 1),
});

const COMMANDS: Readonly<Record<string, Command>> = {
  send: (args) => {
    const [path, name] = args.take("PATH QUEUE") as [string, string];
    const queue = new Queue(name), options = queueOptions(args);
    return (connection) => new Outbox(connection, queue, options, path, options);
  },
  receive: (args) => {
    const [name, path] = args.take("QUEUE PATH") as [string, string];
    const queue = new Queue(name);
    const options = {
      ...queueOptions(args),
      shared: args.has("shared"),
      ackWait: args.number("ack-wait", 60, 1),
      takeOver: args.has("take-over"),
      skipMissing: args.has("skip-missing"),
    };
    return (connection) => new Inbox(connection, queue, path, options);
  },
};

async function main(): Promise<void> {
  const args = new Arguments(Deno.args);
  const [name] = args.operands;
  if (args.has("help")) {
    console.log(HELP.trimEnd());
    return;
  }
  const command = name === undefined ? undefined : COMMANDS[name];
  if (command === undefined) {
    throw new UsageError(name === undefined ? "a command is missing" : `there is no command "${name}"`);
  }
  const begin = command(args);
  const stop = new AbortController(), { signal } = stop;
  const onSignal = () => stop.abort();
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, onSignal);
  try {
    const connection = await connectTo(
      { context: args.text("context"), server: args.text("server") },
      `isthmus ${name}`,
    );
    let closed: unknown;
    void connection.nats.closed().then((error) => (closed = error ?? undefined, stop.abort()));
    {
      using work = begin(connection);
      say(`${args.operands.join(" ")}: ready`);
      await work.run(signal);
    }
    if (closed !== undefined) throw new BridgeError(`NATS has ended the connection: ${textOf(closed)}`);
    await connection.nats.drain();
  } finally {
    for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, onSignal);
  }
}

try {
  await main();
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`bridge: ${error.message}; deno task bridge --help says more`);
    Deno.exit(2);
  }
  say(error instanceof BridgeError || !(error instanceof Error) ? textOf(error) : error.stack ?? error.message);
  Deno.exit(1);
}
Deno.exit(0);
