// Publishes or subscribes: role, name, bytes, milliseconds, and how a subscriber reads.
import { IpcBytesPublisher, IpcBytesSubscriber, IpcPublisher, IpcSubscriber } from "../../mod.ts";

const [role, name, size, milliseconds, way] = Deno.args as [string, string, string, string, string];
const END = 255;

const say = (value: unknown) => console.log(typeof value === "string" ? value : JSON.stringify(value));
if (role === "publish") await publish(Number(size), Number(milliseconds));
else await subscribe();

async function publish(size: number, milliseconds: number): Promise<void> {
  const options = { capacity: Math.max(4 << 20, 16 * size) };
  using publisher = way === "values"
    ? IpcPublisher.open<Uint8Array>(name, options)
    : IpcBytesPublisher.open(name, options);
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
  say({ count });
  // Again and again: a slow subscriber may be overtaken by the first of them.
  const end = new Uint8Array(size).fill(END);
  publisher.publish(end);
  const timer = setInterval(() => publisher.publish(end), 5);
  while (!(await input.read()).done);
  clearInterval(timer);
}

async function subscribe(): Promise<void> {
  using subscriber = way === "values" ? IpcSubscriber.open<Uint8Array>(name) : IpcBytesSubscriber.open(name);
  say("ready");
  let count = 0;
  if (way === "await") {
    while ((await subscriber.recv())[0] !== END) count++;
  } else if (way === "borrow") {
    const bytes = subscriber as IpcBytesSubscriber;
    for (;;) {
      const message = bytes.borrowSync();
      const first = message.value[0]!, intact = message.isIntact();
      message.release();
      if (!intact) continue; // overwritten meanwhile: missed
      if (first === END) break;
      count++;
    }
  } else {
    while (subscriber.recvSync()[0] !== END) count++;
  }
  say({ count });
  for await (const _ of Deno.stdin.readable);
}
