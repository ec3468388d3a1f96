// The worker of the demo: receives a file in pieces, computes its SHA-256, and shows in a shared cell how far it is.
// Started by demo.ts, which passes on the name of a one-shot server. Needs --allow-ffi and nothing else.
import { createHash } from "node:crypto";
import { channel, IpcArc, IpcSender } from "@isthmus/ipc";
import type { Hello, Job, Part, Progress } from "./demo_messages.ts";

const [serverName] = Deno.args;
if (serverName === undefined) {
  console.error("demo_worker.ts is started by demo.ts: run that instead");
  Deno.exit(2);
}

const [sender, parts] = channel<Part>();
{
  using parent = IpcSender.connect<Hello>(serverName);
  parent.sendSync({ pid: Deno.pid, parts: sender });
  sender.close(); // the parent has its own now; once that closes, the loop below ends
}

const job = await parts.recv() as Job;
using progress = IpcArc.load<Progress>(job.progress);
const hash = createHash("sha256");
let bytes = 0, messages = 1;
for await (const piece of parts) {
  hash.update(piece as Uint8Array);
  bytes += (piece as Uint8Array).length;
  messages++;
  progress.updateSync(() => ({ bytes }));
}
await job.reply.send({ digest: hash.digest("hex"), bytes, messages });
job.reply.close();
parts.close();
