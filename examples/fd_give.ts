// Hands its own standard input to fd_take.ts, which has never heard of this program: what is typed here, or piped into
// here, is read there.
//
//   echo "hello" | deno run --allow-ffi examples/fd_give.ts @line
//   deno run --allow-ffi examples/fd_take.ts @line
//
// The other program may be one in C or Python: it is plain SCM_RIGHTS. With --demo it starts both:
//
//   deno run --allow-ffi --allow-run examples/fd_give.ts --demo
import { sendFds, UnixSocket } from "@isthmus/ipc";

const STDIN = 0;

const [name] = Deno.args.filter((arg) => !arg.startsWith("--"));
if (Deno.args.includes("--demo")) await demo();
else if (name !== undefined) await give(name);
else console.error("Usage: fd_give.ts NAME | --demo"), Deno.exitCode = 2;

async function give(name: string): Promise<void> {
  using server = UnixSocket.listen(name);
  console.log(`Ready: run "deno run --allow-ffi examples/fd_take.ts ${name}" in another terminal`);
  using taker = await server.accept();
  await sendFds(taker, new TextEncoder().encode(`standard input of ${Deno.pid}`), [STDIN]);
  console.log(`Given to process ${taker.peer.pid}`);
}

async function demo(): Promise<void> {
  const name = `@isthmus-example-${Deno.pid}`;
  const run = (file: string, stdin: "piped" | "null", stdout: "piped" | "inherit") =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-ffi", `${import.meta.dirname}/${file}`, name],
      stdin,
      stdout,
    }).spawn();
  const giver = run("fd_give.ts", "piped", "piped");
  const words = giver.stdout.pipeThrough(new TextDecoderStream()).getReader();
  console.log((await words.read()).value!.trimEnd()); // it listens now
  const taker = run("fd_take.ts", "null", "inherit");
  const keyboard = giver.stdin.getWriter();
  await keyboard.write(new TextEncoder().encode("typed into the giver\nread by the taker\n"));
  await keyboard.close();
  for (let word = await words.read(); !word.done; word = await words.read()) console.log(word.value.trimEnd());
  for (const process of [giver, taker]) if (!(await process.status).success) throw new Error("a program failed");
}
