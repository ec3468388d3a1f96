// One publisher, five subscribers: three that keep up, one that sleeps, and one that is killed. The publisher waits for
// none of them; each knows what it has missed.
//
//   deno run --allow-ffi --allow-run examples/events.ts
import { IpcPublisher, IpcSubscriber } from "@isthmus/ipc";

type Event = { kind: "tick"; n: number } | { kind: "end" };

const EVENTS = 50_000;

const [topic, habit] = Deno.args;
if (topic === undefined) await publish();
else await subscribe(topic, habit!);

async function publish(): Promise<void> {
  const topic = `events-${crypto.randomUUID()}`;
  using publisher = IpcPublisher.open<Event>(topic, { capacity: 1 << 20 });
  const habits = ["quick", "quick", "quick", "sleepy", "doomed"];
  const listeners = habits.map((habit) => {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-ffi", import.meta.filename!, topic, habit],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    return { habit, process, lines: linesOf(process.stdout) };
  });
  for (const { lines } of listeners) await lines.next(); // "ready"

  const began = performance.now();
  for (let n = 0; n < EVENTS; n++) {
    publisher.publish({ kind: "tick", n });
    if (n === EVENTS / 2) listeners[4]!.process.kill("SIGKILL");
    // A pause for those who keep up; the others are not waited for.
    if (n % 1000 === 999) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  publisher.publish({ kind: "end" });
  await listeners[3]!.process.stdin.close(); // which wakes it
  console.log(`${EVENTS} events published in ${Math.round(performance.now() - began)} ms`);

  for (const { habit, process, lines } of listeners) {
    const { value } = await lines.next();
    const { signal } = await process.status;
    if (value === undefined) {
      console.log(`the ${habit} one was ended by ${signal}`);
      if (habit !== "doomed") throw new Error("only one was to be killed");
      continue;
    }
    const { received, missed } = JSON.parse(value) as { received: number; missed: number };
    console.log(`a ${habit} one received ${received} and missed ${missed}`);
    if (received + missed !== EVENTS + 1) throw new Error("events were lost without a word");
    if (habit === "sleepy" && missed === 0) throw new Error("who sleeps misses something");
  }
}

async function subscribe(topic: string, habit: string): Promise<void> {
  using subscriber = IpcSubscriber.open<Event>(topic);
  console.log("ready");
  let received = 0;
  for await (const event of subscriber) {
    received++;
    if (event.kind === "end") break;
    if (habit === "sleepy" && received === 1) await Deno.stdin.read(new Uint8Array(1)); // until it is closed
  }
  console.log(JSON.stringify({ received, missed: subscriber.missed }));
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
