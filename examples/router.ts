// One router for a dozen channels: each has its handler, all are served by one wait.
//
//   deno run --allow-ffi examples/router.ts
import { channel, IpcRouter, type IpcSender } from "@isthmus/ipc";

interface Reading {
  celsius: number;
}

const router = new IpcRouter({ onError: (error) => console.log(`reported: ${(error as Error).message}`) });
const highest = new Map<string, number>();
const sensors = new Map<string, IpcSender<Reading>>();

// Eleven sensors, and one channel that ends it all.
for (let n = 1; n <= 11; n++) {
  const name = `sensor ${n}`;
  const [sender, receiver] = channel<Reading>({ capacity: 65_536 });
  sensors.set(name, sender);
  router.route(receiver, ({ celsius }) => {
    if (celsius === 60) throw new Error(`${name} reads ${celsius} °C`); // reported; the others go on
    highest.set(name, Math.max(highest.get(name) ?? -Infinity, celsius));
  });
}
const [finish, finished] = channel<string>();
const end = new Promise<string>((resolve) => router.routeOnce(finished, resolve));
console.log(`${router.size} channels are routed`);

for (let reading = 0; reading < 9; reading++) {
  let n = 0;
  for (const sender of sensors.values()) await sender.send({ celsius: ++n * reading });
}
for (const sender of sensors.values()) sender.close(); // their routes end by themselves
while (router.size > 1) await new Promise((resolve) => setTimeout(resolve, 1));
console.log(`the senders are gone, ${router.size} route is left`);
await finish.send("that is all");
finish.close();

console.log(`the last message: "${await end}"`);
for (const [name, celsius] of highest) console.log(`${name}: at most ${celsius} °C`);
await router.shutdown();
if (highest.size !== 11 || highest.get("sensor 11") !== 88) throw new Error("readings were lost");
