import { assertEquals } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender } from "../mod.ts";
import { processTest } from "./support/test.ts";
import { patience } from "./support/patience.ts";

type Message = { n: number; text: string };
interface Table {
  readonly pings: IpcReceiver<Message>;
  readonly pongs: IpcSender<Message>;
}

export async function answerAsync({ pings, pongs }: Table): Promise<void> {
  for await (const { n, text } of pings) await pongs.send({ n: -n, text });
}

export function answerSync({ pings, pongs }: Table): void {
  for (let left = 2000; left > 0; left--) {
    const { n, text } = pings.recvSync({ timeout: patience(20_000) });
    pongs.sendSync({ n: -n, text });
  }
}

for (const partner of [answerAsync, answerSync]) {
  for (const blocking of [false, true]) {
    const sides = `${blocking ? "blocking" : "awaiting"} on this side, ${partner.name} on the other`;
    processTest(`channel() carries 2000 messages to another process and back, ${sides}`, async ({ start }) => {
      const [ping, pings] = channel<Message>();
      const [pong, pongs] = channel<Message>();
      const child = await start(import.meta.url, partner, { pings, pongs: pong });
      pong.close();
      for (let n = 1; n <= 2000; n++) {
        const message = { n, text: "x".repeat(n % 700) };
        let answer: Message;
        if (blocking) {
          ping.sendSync(message);
          answer = pongs.recvSync({ timeout: patience(20_000) });
        } else {
          await ping.send(message);
          answer = await pongs.recv();
        }
        assertEquals(answer, { n: -n, text: message.text });
      }
      ping.close();
      assertEquals((await child.status).code, 0, "the other side ends by itself once this sender is gone");
      pongs.close();
    });
  }
}
