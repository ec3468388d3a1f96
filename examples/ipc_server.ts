// A server for any number of ipc_client.ts, which have nothing in common with it but its name. Each client gets its own
// answers, and hears of the others.
//
//   deno run --allow-ffi examples/ipc_server.ts @chat
//   deno run --allow-ffi examples/ipc_client.ts @chat
//
// With --demo it starts three clients and types into them:
//
//   deno run --allow-ffi --allow-run examples/ipc_server.ts --demo
import { type IpcDuplex, IpcServer } from "@isthmus/ipc";

/** What a client says. */
export type Line = string;
/** What the server says, when asked and when not. */
export type Notice = { answer: string } | { news: string };

const [name] = Deno.args.filter((arg) => !arg.startsWith("--"));
if (Deno.args.includes("--demo")) await demo();
else if (name !== undefined) await serve(name);
else console.error("Usage: ipc_server.ts NAME | --demo"), Deno.exitCode = 2;

async function serve(name: string, clients = Infinity): Promise<void> {
  using server = new IpcServer<Notice, Line>({ path: name });
  console.log(`Ready: run "deno run --allow-ffi examples/ipc_client.ts ${name}" in another terminal`);
  const here = new Set<IpcDuplex<Notice, Line>>();
  const conversations: Promise<void>[] = [];
  for (let n = 0; n < clients; n++) {
    const client = await server.accept();
    conversations.push(talk(client, here));
  }
  await Promise.all(conversations);
}

async function talk(client: IpcDuplex<Notice, Line>, here: Set<IpcDuplex<Notice, Line>>): Promise<void> {
  const who = `client ${client.peer?.pid}`;
  // One that does not read its news must not hold up the others.
  const tell = (news: string) => {
    for (const other of here) {
      try {
        other.trySend({ news });
      } catch {
        // it is just leaving
      }
    }
  };
  tell(`${who} is here`);
  here.add(client);
  try {
    await client.run((line) => {
      console.log(`${who}: ${line}`);
      return { answer: line.toUpperCase() };
    }); // until the client closes, or dies
  } finally {
    here.delete(client);
    client.close();
    tell(`${who} has left`);
  }
}

async function demo(): Promise<void> {
  const name = `@isthmus-example-${Deno.pid}`;
  const serving = serve(name, 3);
  const clients = ["apples", "pears", "plums"].map(async (fruit) => {
    const client = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-ffi", `${import.meta.dirname}/ipc_client.ts`, name],
      stdin: "piped",
    }).spawn();
    const keyboard = client.stdin.getWriter();
    for (const count of ["three", "four"]) await keyboard.write(new TextEncoder().encode(`${count} ${fruit}\n`));
    await keyboard.close();
    if (!(await client.status).success) throw new Error("a client failed");
  });
  await Promise.all([serving, ...clients]);
}
