// What runs in a Worker; its name says what to do.
import { channel, IpcSender } from "../../mod.ts";
import { type Actor, self as line } from "./actor.ts";
import { START } from "./patience.ts";

const [module, name, server] = JSON.parse(self.name) as [string, string, string];

const [outbox, inbox] = channel<unknown>({ capacity: 65_536 });
const hello = IpcSender.connect<unknown>(server);
hello.sendSync(outbox);
outbox.close();
const job = await inbox.recv({ timeout: START });
if (module === "") {
  hello.sendSync(job);
} else {
  const { [name]: actor } = await import(module) as Record<string, Actor<unknown>>;
  await actor!(job, line);
}
hello.close(), inbox.close();
