// Runs as another user, in a mount namespace whose /proc hides the processes of others: says which threads live, and
// receives from a named channel.
import { IpcBytesReceiver } from "../../mod.ts";
import { isAlive, type ThreadIdentity } from "../../ffi/process/liveness.ts";

const [path, ...threads] = Deno.args as [string, ...string[]];
const receiver = IpcBytesReceiver.create(path, { trust: "anyone" });
const alive = threads.map((text) => isAlive(JSON.parse(text) as ThreadIdentity));
const hidden = threads.every((text) => {
  try {
    Deno.statSync(`/proc/${(JSON.parse(text) as ThreadIdentity).tid}/stat`);
    return false;
  } catch {
    return true;
  }
});
console.log(JSON.stringify({ hidden, alive, early: receiver.recvMany().length }));
Deno.stdin.readSync(new Uint8Array(100)); // until the sender has committed
const late = [receiver.recvSync({ timeout: 30_000 }), receiver.recvSync({ timeout: 30_000 })];
console.log(JSON.stringify(late.map((bytes) => bytes[0])));
receiver.close();
