// `deno task bridge`: see usage.ts.
import { IpcError } from "../../mod.ts";
import { CallBack } from "./call/back.ts";
import { CallFront } from "./call/front.ts";
import { checkKey } from "./cell/bucket.ts";
import { CellMirror } from "./cell/mirror.ts";
import { CellStore } from "./cell/store.ts";
import { type Connection, connectTo } from "./connection.ts";
import { BridgeError, say, textOf } from "./log.ts";
import { Inbox } from "./queue/inbox.ts";
import { Outbox } from "./queue/outbox.ts";
import { Queue } from "./queue/stream.ts";
import { checkSubject } from "./subject.ts";
import { TopicPublisher } from "./topic/publish.ts";
import { TopicSubscriber } from "./topic/subscribe.ts";
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
  serve: (args) => {
    const [path, subject] = args.take("PATH SUBJECT") as [string, string];
    checkSubject(subject);
    return (connection) => new CallBack(connection, path, subject);
  },
  call: (args) => {
    const [subject, path] = args.take("SUBJECT PATH") as [string, string];
    checkSubject(subject);
    return (connection) => new CallFront(connection, subject, path);
  },
  publish: (args) => {
    const [topic, subject] = args.take("TOPIC SUBJECT") as [string, string];
    checkSubject(subject);
    return (connection) => new TopicPublisher(connection, topic, subject);
  },
  subscribe: (args) => {
    const [subject, topic] = args.take("SUBJECT TOPIC") as [string, string];
    checkSubject(subject);
    const capacity = args.maybe("capacity", 1);
    return (connection) => new TopicSubscriber(connection, subject, topic, capacity);
  },
  store: (args) => {
    const [cell, bucket, key] = args.take("CELL BUCKET KEY") as [string, string, string];
    const options = { bucket, key, replicas: args.number("replicas", 1, 1) };
    checkKey(options);
    return (connection) => new CellStore(connection, cell, options);
  },
  mirror: (args) => {
    const [bucket, key, cell] = args.take("BUCKET KEY CELL") as [string, string, string];
    const options = { bucket, key, replicas: args.number("replicas", 1, 1), capacity: args.maybe("capacity", 1) };
    checkKey(options);
    return (connection) => new CellMirror(connection, cell, options);
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
  say(
    error instanceof BridgeError || error instanceof IpcError || !(error instanceof Error)
      ? textOf(error)
      : error.stack ?? error.message,
  );
  Deno.exit(1);
}
Deno.exit(0);
