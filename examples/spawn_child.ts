// A child process and its parent get a channel each way by one name: the one-shot server's.
//
//   deno run --allow-ffi --allow-run examples/spawn_child.ts
import { channel, IpcOneShotServer, IpcSender } from "@isthmus/ipc";

interface Hello {
  pid: number;
  /** Where the child wants its orders. */
  orders: IpcSender<string>;
}

const [name] = Deno.args;
if (name === undefined) await parent();
else await child(name);

async function parent(): Promise<void> {
  using server = new IpcOneShotServer<Hello>();
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", import.meta.filename!, server.name],
  }).spawn();

  // A child that fails to start never connects: whichever comes first ends the wait.
  const ended = new AbortController();
  process.status.then(({ code }) => ended.abort(new Error(`the child ended with ${code} before it had connected`)));

  const [receiver, { pid, orders }] = await server.accept({ signal: ended.signal });
  console.log(`parent ${Deno.pid}: child ${pid} has connected to ${server.name}`);
  await orders.send("count to three");
  orders.close(); // no more orders
  for await (const message of receiver) console.log(`parent ${Deno.pid}: the child says`, message);
  receiver.close();
  const { code } = await process.status;
  console.log(`parent ${Deno.pid}: the child has ended with ${code}`);
  if (code !== 0) throw new Error("the child failed");
}

async function child(name: string): Promise<void> {
  using parent = IpcSender.connect<Hello | string>(name);
  const [sender, orders] = channel<string>();
  await parent.send({ pid: Deno.pid, orders: sender });
  sender.close(); // the parent has its own now
  for await (const order of orders) {
    for (const word of ["one", "two", "three"]) await parent.send(`"${order}": ${word}`);
  }
  orders.close();
}
