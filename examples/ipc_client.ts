// Talks to ipc_server.ts: sends the lines that are typed, prints what comes back, asked for or not.
//
//   deno run --allow-ffi examples/ipc_client.ts @chat
import { IpcServer } from "@isthmus/ipc";
import type { Line, Notice } from "./ipc_server.ts";

const [name] = Deno.args;
if (name === undefined) {
  console.error("Usage: ipc_client.ts NAME");
  Deno.exit(2);
}
const server = IpcServer.connect<Line, Notice>(name);
let asked = 0, answered = 0, typing = true;

/** Ends the conversation when everything typed was answered. */
function leaveIfDone(): void {
  if (!typing && answered === asked) server.close();
}

const listening = (async () => {
  for await (const notice of server) {
    if ("news" in notice) console.log(`  (${notice.news})`);
    else console.log(`  ${Deno.pid} got: ${notice.answer}`), answered++;
    leaveIfDone();
  }
})().catch((error) => {
  if (error.code !== "Closed") throw error; // by ourselves
});

let text = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (text + chunk).split("\n");
  text = lines.pop()!;
  for (const line of lines) {
    asked++;
    await server.send(line);
  }
}
typing = false;
leaveIfDone();
await listening;
