// Publishes or subscribes: role, name, bytes, milliseconds, and how a subscriber reads.
import { IpcBytesPublisher, IpcBytesSubscriber } from "../../mod.ts";

const [role, name, size, milliseconds, way] = Deno.args as [string, string, string, string, string];
const END = 255;

const say = (value: unknown) => console.log(typeof value === "string" ? value : JSON.stringify(value));
if (role === "publish") await publish(Number(size), Number(milliseconds));
else await subscribe();

async function publish(size: number, milliseconds: number): Promise<void> {
  using publisher = IpcBytesPublisher.open(name, { capacity: Math.max(4 << 20, 16 * size) });
  const message = new Uint8Array(size).fill(1);
  say("ready");
  const input = Deno.stdin.readable.getReader();
  await input.read();
  const batch = size < 4096 ? 64 : 1;
  const began = performance.now();
  let count = 0;
  for (; performance.now() - began < milliseconds; count += batch) {
    for (let i = 0; i < batch; i++) publisher.publish(message);
  }
  say({ count, milliseconds: performance.now() - began });
  const timer = setInterval(() => publisher.publish(new Uint8Array(size).fill(END)), 5);
  while (!(await input.read()).done);
  clearInterval(timer);
}

async function subscribe(): Promise<void> {
  using subscriber = IpcBytesSubscriber.open(name);
  say("ready");
  let count = 0;
  if (way === "await") {
    while ((await subscriber.recv())[0] !== END) count++;
  } else if (way === "copy") {
    while (subscriber.recvSync()[0] !== END) count++;
  } else {
    for (let first = 0; first !== END; count++) {
      const message = subscriber.borrowSync();
      first = message.value[0]!;
      message.isIntact();
      message.release();
    }
    count--;
  }
  say({ count });
  for await (const _ of Deno.stdin.readable);
}
