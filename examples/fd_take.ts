// Takes the descriptor that fd_give.ts hands over, and reads it to its end.
//
//   deno run --allow-ffi examples/fd_take.ts @line
import { recvFds, UnixSocket } from "@isthmus/ipc";

const [name] = Deno.args;
if (name === undefined) {
  console.error("Usage: fd_take.ts NAME");
  Deno.exit(2);
}
using giver = UnixSocket.connect(name);
const { data, fds } = await recvFds(giver, 1000, 1); // more than one descriptor would be closed, and an error
const [file] = fds;
if (file === undefined) throw new Error("no descriptor came");
console.log(`Process ${giver.peer.pid} has given its "${new TextDecoder().decode(data)}":`);
// Any library that takes a descriptor can use it; here libc.
const libc = Deno.dlopen("libc.so.6", { read: { parameters: ["i32", "buffer", "usize"], result: "isize" } });
const buffer = new Uint8Array(1000);
for (let length = 1; length > 0;) {
  length = Number(libc.symbols.read(file.fd, buffer, BigInt(buffer.length)));
  if (length > 0) Deno.stdout.writeSync(buffer.subarray(0, length));
}
libc.close();
file.close();
