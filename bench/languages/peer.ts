// Deno, Node.js and Bun: `peer.ts send|receive PATH SIZE COUNT HOW`, HOW being copy, place or value. The receiver says
// "ready", then, of the messages after the first quarter, how many there were and the nanoseconds that they took.
import process from "node:process";
import { IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender } from "../../mod.ts";

const [role, path = "", sizeText, countText, how] = process.argv.slice(2);
const size = Number(sizeText), count = Number(countText), warm = count >> 2;
const say = (line: string) => void process.stdout.write(`${line}\n`);

async function send(): Promise<void> {
  if (how === "value") {
    const sender = IpcSender.open<unknown>(path);
    for (let i = 0; i < count; i++) await sender.send({ id: i, name: "sensor", ok: true, pos: [1.5, 2.5] });
    return sender.close();
  }
  const sender = IpcBytesSender.open(path), bytes = new Uint8Array(size);
  for (let i = 0; i < count; i++) {
    bytes[0] = i;
    if (how !== "place") {
      await sender.send(bytes);
      continue;
    }
    const loan = await sender.reserve(size);
    loan.bytes.set(bytes);
    loan.commit();
  }
  sender.close();
}

async function receive(): Promise<void> {
  const capacity = size >= 1 << 20 ? 1 << 24 : 1 << 22;
  const values = how === "value" ? IpcReceiver.create<{ id: number }>(path, { capacity }) : undefined;
  const bytes = values === undefined ? IpcBytesReceiver.create(path, { capacity }) : undefined;
  let sum = 0, begin = 0n;
  say("ready");
  for (let i = 0; i < count; i++) {
    if (values !== undefined) sum += (await values.recv()).id;
    else if (how === "copy") {
      const message = await bytes!.recv();
      sum += message[0]! + message[size - 1]!;
    } else {
      const borrowed = await bytes!.borrow();
      sum += borrowed.value[0]! + borrowed.value[size - 1]!;
      borrowed.release();
    }
    if (i === warm) begin = process.hrtime.bigint();
  }
  const ns = Number(process.hrtime.bigint() - begin);
  (values ?? bytes)!.close();
  say(JSON.stringify({ ops: count - warm - 1, ns, sum }));
}

await (role === "send" ? send() : receive());
