// Sends each line that is typed to ipmpsc_receive.ts, which may be started later, or again.
//
//   deno run --allow-ffi examples/ipmpsc_send.ts /dev/shm/lines
import { IpcBytesSender } from "@isthmus/ipc";

const [path] = Deno.args;
if (path === undefined) {
  console.error("Usage: ipmpsc_send.ts PATH");
  Deno.exit(2);
}
using sender = IpcBytesSender.open(path);
console.log("Type lines; Ctrl+D ends");
const NEWLINE = 10;
let pending = new Uint8Array(0);
for await (const chunk of Deno.stdin.readable) {
  let text = new Uint8Array([...pending, ...chunk]);
  for (let end = text.indexOf(NEWLINE); end >= 0; end = text.indexOf(NEWLINE)) {
    await sender.send(text.subarray(0, end + 1)); // waits while the channel is full
    text = text.subarray(end + 1);
  }
  pending = text;
}
