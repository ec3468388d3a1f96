// Arguments: module, name of the exported function, name of the one-shot server that has the job for it.
import { channel, IpcSender } from "../../mod.ts";
import { type Actor, self } from "./actor.ts";
import { START } from "./patience.ts";

const [module, name, server] = Deno.args;
const { [name!]: actor } = await import(module!) as Record<string, Actor<unknown>>;

const [outbox, inbox] = channel<unknown>({ capacity: 65536 });
const hello = IpcSender.connect<IpcSender<unknown>>(server!);
hello.sendSync(outbox);
outbox.close();
const job = inbox.recvSync({ timeout: START });
hello.close();
inbox.close();

await actor!(job, self);
