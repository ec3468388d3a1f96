// One open file for two processes. The child gets the open file itself inside a message, not a path: the file has none
// any more, and the child has no permission to read or write files.
//
//   deno run --allow-ffi --allow-run --allow-read=. --allow-write=. examples/share_file.ts
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { channel, IpcFd, IpcOneShotServer, IpcSender } from "@isthmus/ipc";

interface Hello {
  /** Where the child wants the file. */
  files: IpcSender<IpcFd>;
}

const [name] = Deno.args;
if (name === undefined) await parent();
else await child(name);

async function parent(): Promise<void> {
  using server = new IpcOneShotServer<Hello | number>();
  const path = `share_file-${Deno.pid}.tmp`;
  const fd = openSync(path, "w+");
  unlinkSync(path);
  writeSync(fd, `parent ${Deno.pid} was here\n`);

  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", "--no-prompt", import.meta.filename!, server.name],
  }).spawn();
  const [answers, hello] = await server.accept({ timeout: 10_000 });
  const { files } = hello as Hello;
  const file = new IpcFd(fd);
  await files.send(file);
  file.take(); // the descriptor stays node:fs's here; the child owns one of its own
  files.close();
  console.log(`the child wrote ${await answers.recv()} bytes`);
  answers.close();

  const bytes = new Uint8Array(1000);
  const text = new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)));
  closeSync(fd);
  console.log(text.trimEnd());
  if (!(await process.status).success || !text.includes("child")) throw new Error("the child did not write");
}

async function child(name: string): Promise<void> {
  using parent = IpcSender.connect<Hello | number>(name);
  const [sender, receiver] = channel<IpcFd>();
  await parent.send({ files: sender });
  using file = await receiver.recv();
  sender.close(), receiver.close();
  // Any library that takes a descriptor can use it; here libc. Both processes share one position in the file.
  const libc = Deno.dlopen("libc.so.6", { write: { parameters: ["i32", "buffer", "usize"], result: "isize" } });
  const line = new TextEncoder().encode(`child ${Deno.pid} was here\n`);
  await parent.send(Number(libc.symbols.write(file.fd, line, BigInt(line.length))));
  libc.close();
}
