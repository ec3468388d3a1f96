// The examples that are recipes, as processes, with an HTTP client.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import type { Child, Processes } from "../support/processes.ts";
import { processTest } from "../support/test.ts";

/** Starts an example that serves HTTP; returns what asks it, by path. */
async function serve(spawn: Processes["spawn"], name: string): Promise<[Child, (path: string) => Promise<Response>]> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const file = new URL(`../../examples/${name}`, import.meta.url).href;
  const child = spawn(["run", "--quiet", "--allow-ffi", "--allow-run", "--allow-net", file, `${port}`]);
  const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  const until = performance.now() + patience(30_000);
  for (;;) {
    try {
      await (await ask("/")).body?.cancel();
      return [child, ask];
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10)); // it is starting
    }
  }
}

async function answer(response: Promise<Response>): Promise<{ primes: number; worker: number }> {
  const { status, ok } = await response;
  if (ok) return await (await response).json();
  throw new Error(`${status}: ${await (await response).text()}`);
}

processTest("job_queue.ts: killed workers are replaced, and no request notices", async ({ spawn }) => {
  const [child, ask] = await serve(spawn, "job_queue.ts");
  const workers = new Set<number>();
  while (workers.size < 3) {
    const answers = await soon(Promise.all([1, 2, 3, 4, 5, 6].map((n) => answer(ask(`/?below=${20_000 + n}`)))));
    for (const { worker } of answers) workers.add(worker);
  }
  for (const victim of workers) {
    const asked = Promise.all(Array.from({ length: 9 }, () => answer(ask("/?below=100000"))));
    await answer(ask("/?below=10"));
    Deno.kill(victim, "SIGKILL");
    assertEquals((await soon(asked)).map(({ primes }) => primes), Array(9).fill(9592));
  }
  // All three that were there are dead by now.
  const { worker } = await soon(answer(ask("/?below=10")));
  assert(!workers.has(worker));
  child.signal("SIGTERM");
  assertEquals((await soon(child.status)).code, 0);
});

processTest("job_queue.ts: a request that takes too long gets 504, and the others are answered", async ({ spawn }) => {
  const [child, ask] = await serve(spawn, "job_queue.ts");
  const late = ask("/?below=1000000000");
  assertEquals((await soon(answer(ask("/?below=100")))).primes, 25);
  const { status, body } = await late;
  await body?.cancel();
  assertEquals(status, 504);
  for (let n = 0; n < 6; n++) assertEquals((await soon(answer(ask("/?below=100")))).primes, 25);
  child.signal("SIGTERM");
  assertEquals((await soon(child.status)).code, 0);
});

processTest("metrics.ts: at SIGTERM nothing is lost", async ({ spawn }) => {
  const [child, ask] = await serve(spawn, "metrics.ts");
  let seen = 0;
  while (seen < 2000) {
    const sums: Record<string, { samples: number }> = await (await ask("/")).json();
    seen = Object.values(sums).reduce((all, { samples }) => all + samples, 0);
  }
  child.signal("SIGTERM");
  const text = await soon(child.text());
  assertMatch(text, /^\d+ samples of 4 processes, 4 of them complete$/m);
  assert(Number(/^\d+/m.exec(text)![0]) >= seen);
  assertEquals((await soon(child.status)).code, 0);
});

processTest("metrics.ts: a process that is killed is told apart", async ({ spawn }) => {
  const [child, ask] = await serve(spawn, "metrics.ts");
  let sums: Record<string, unknown> = {};
  while (Object.keys(sums).length < 4) sums = await (await ask("/")).json();
  Deno.kill(Number(Object.keys(sums)[0]), "SIGKILL");
  child.signal("SIGTERM");
  assertMatch(await soon(child.text()), /^\d+ samples of 4 processes, 3 of them complete$/m);
  assertEquals((await soon(child.status)).code, 1);
});
