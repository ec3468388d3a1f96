// A pool of processes that pull jobs: each asks for the next one when it is done with the last. A job carries the
// channel for its result, so that results find the one who asked.
//
//   deno run --allow-ffi --allow-run examples/worker_pool.ts
import { channel, type IpcSender, IpcServer } from "@isthmus/ipc";

interface Job {
  /** How many primes are there below this number? */
  limit: number;
  result: IpcSender<Result>;
}

interface Result {
  limit: number;
  primes: number;
  worker: number;
}

const WORKERS = 3;

const [name] = Deno.args;
if (name === undefined) await pool();
else await worker(name);

async function pool(): Promise<void> {
  using server = new IpcServer<Job, "next">();
  const processes = Array.from({ length: WORKERS }, () =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-ffi", import.meta.filename!, server.name],
    }).spawn());

  const limits = Array.from({ length: 12 }, (_, n) => 10_000 * (n + 1));
  const [result, results] = channel<Result>();
  const jobs = limits[Symbol.iterator]();
  // One conversation a worker; who asks gets the next job, until there are no more.
  const conversations = processes.map(async () => {
    using worker = await server.accept({ timeout: 10_000 });
    for await (const _next of worker) {
      const { value: limit, done } = jobs.next();
      if (done) break;
      await worker.send({ limit, result });
    }
  });
  await Promise.all(conversations);
  result.close(); // the last copies are in the workers: the loop below ends when they have

  const byWorker = new Map<number, number>();
  let received = 0;
  for await (const { limit, primes, worker } of results) {
    console.log(`${primes} primes below ${limit}, by process ${worker}`);
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
    received++;
  }
  results.close();
  for (const process of processes) await process.status;
  console.log(`${received} results of ${byWorker.size} workers: ${[...byWorker.values()].join(" + ")}`);
  if (received !== limits.length) throw new Error("results were lost");
}

async function worker(name: string): Promise<void> {
  using pool = IpcServer.connect<"next", Job>(name);
  await pool.send("next");
  for await (const { limit, result } of pool) {
    await result.send({ limit, primes: countPrimes(limit), worker: Deno.pid });
    result.close();
    try {
      await pool.send("next");
    } catch {
      return; // no more jobs
    }
  }
}

function countPrimes(limit: number): number {
  let count = 0;
  candidates: for (let n = 2; n < limit; n++) {
    for (let d = 2; d * d <= n; d++) if (n % d === 0) continue candidates;
    count++;
  }
  return count;
}
