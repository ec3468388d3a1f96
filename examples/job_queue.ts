// A job queue behind a web server: three workers, and a time limit for each request. A worker that dies costs nothing: its
// jobs are done by others, and a new one is started.
//
//   deno run --allow-ffi --allow-run --allow-net examples/job_queue.ts 8080
//   curl 'http://127.0.0.1:8080/?below=100000'
import { expose, type IpcChild, IpcError, parent, type Remote, remote, spawn } from "@isthmus/ipc";
const WORKERS = 3, TIME_LIMIT = 5000;

const jobs = {
  primes(below: number) {
    let primes = 0;
    candidates: for (let n = 2; n < below; n++) {
      for (let d = 2; d * d <= n; d++) if (n % d === 0) continue candidates;
      primes++;
    }
    return { primes, worker: Deno.pid };
  },
};

type Worker = { child: IpcChild<unknown, unknown>; api: Remote<typeof jobs>; jobs: number };
const workers = new Set<Worker>(), stopping = new AbortController();
async function startWorker(): Promise<void> {
  const child = await spawn(new URL(import.meta.url), { args: ["worker"], signal: stopping.signal });
  const worker = { child, api: remote<typeof jobs>(child), jobs: 0 };
  workers.add(worker);
  void child.status.then(() => (workers.delete(worker), replace()));
}

/** Starts another one. If that fails, as on a full machine, it is tried again: the rest goes on meanwhile. */
const replace = (): Promise<void> | undefined =>
  stopping.signal.aborted
    ? undefined
    : startWorker().catch((error) => (console.error(error), pause(1000).then(replace)));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Has a job done by the worker that has least to do; by another one if that dies, as a job may be done twice. */
async function primes(below: number): Promise<Response> {
  const deadline = performance.now() + TIME_LIMIT;
  for (;;) {
    const [worker] = [...workers].filter(({ child }) => !child.closed).sort((a, b) => a.jobs - b.jobs);
    if (worker === undefined) { // all have died: new ones are being started
      if (performance.now() > deadline) return new Response("No worker is there\n", { status: 503 });
      await pause(20);
      continue;
    }
    worker.jobs++;
    try {
      return Response.json(await worker.api.with({ timeout: Math.max(1, deadline - performance.now()) }).primes(below));
    } catch (error) {
      if (!(error instanceof IpcError)) throw error;
      if (error.code === "Timeout" && error.delivered) worker.child.kill("SIGKILL"); // it is at work on this one
      if (error.code === "Timeout") return new Response("The time is over\n", { status: 504 });
      worker.child.close(); // it has died: no other job for it
      console.log(`Worker ${worker.child.pid} has died: its job goes to another`);
    } finally {
      worker.jobs--;
    }
  }
}

if (Deno.args[0] === "worker") await expose(parent(), jobs, { concurrency: 1 });
else {
  await Promise.all(Array.from({ length: WORKERS }, startWorker));
  const answer = ({ url }: Request) => primes(Number(new URL(url).searchParams.get("below") ?? 1000));
  const server = Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.args[0]) || 0 }, answer);
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => server.shutdown());
  if (Deno.args[0] === "--demo") {
    const ask = async (below: number) => (await fetch(`http://127.0.0.1:${server.addr.port}/?below=${below}`)).json();
    const answers = Array.from({ length: 12 }, (_, n) => ask(50_000 * (n + 1)));
    await answers[0];
    [...workers].find(({ jobs }) => jobs > 0)?.child.kill("SIGKILL"); // on purpose: who has asked does not notice
    for (const { primes, worker } of await Promise.all(answers)) console.log(`${primes} primes, by process ${worker}`);
    void server.shutdown();
  }
  await server.finished; // every request is answered
  stopping.abort(); // ends the workers
  Deno.exit();
}
