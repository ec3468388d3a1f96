// One server, three client processes: each has a conversation of its own, and all are served at once.
//
//   deno run --allow-ffi --allow-run examples/duplex_server.ts
import { IpcServer } from "@isthmus/ipc";

interface Question {
  a: number;
  b: number;
}

const [name, a] = Deno.args;
if (name === undefined) await serve();
else await ask(name, Number(a));

async function serve(): Promise<void> {
  using server = new IpcServer<number, Question>();
  const processes = [1, 2, 3].map((a) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-ffi", import.meta.filename!, server.name, `${a}`],
    }).spawn()
  );
  let answers = 0;
  const conversations = processes.map(async () => {
    using client = await server.accept({ timeout: 10_000 });
    console.log(`server ${Deno.pid}: process ${client.peer?.pid} of user ${client.peer?.uid} has connected`);
    await client.run(({ a, b }) => { // until the client closes
      answers++;
      return a * b;
    });
    console.log(`server ${Deno.pid}: process ${client.peer?.pid} is done`);
  });
  await Promise.all(conversations);
  for (const process of processes) if (!(await process.status).success) throw new Error("a client failed");
  console.log(`server ${Deno.pid}: ${answers} answers`);
}

async function ask(name: string, a: number): Promise<void> {
  using server = IpcServer.connect<Question, number>(name);
  const products: number[] = [];
  for (let b = 1; b <= 10; b++) {
    await server.send({ a, b });
    products.push(await server.recv());
  }
  console.log(`client ${Deno.pid}: ${products.join(" ")}`);
}
