// A rate limiter that is exact under several isolates: each counts in the same shared cell, under its lock. A client that
// is killed, or an isolate that dies while it holds the lock, holds nobody up.
//
//   DENO_JOBS=4 deno serve --parallel --allow-ffi examples/rate_limiter.ts
//   curl -i -H 'x-client: ann' http://localhost:8000/
//
// With `--demo` it starts itself so, and sends 300 requests at once:
//
//   deno run --allow-run --allow-net examples/rate_limiter.ts --demo
import { IpcArc, struct, u32 } from "@isthmus/ipc";

/** Requests that a client may make in each window, and how long that is, in seconds. */
const LIMIT = 100, WINDOW = 3600;

const layout = struct({ window: u32, used: u32 });
/** Which of the isolates answers. */
const isolate = crypto.randomUUID().slice(0, 8);

/** The cells of the clients that were seen last. The last isolate that closes one removes it. */
const cells = new Map<string, IpcArc<{ window: number; used: number }>>();

function cellOf(client: string): IpcArc<{ window: number; used: number }> {
  const known = cells.get(client);
  if (known !== undefined) return known;
  const cell = IpcArc.createOrLoad(`rate-${Deno.pid}-${client}`, { window: 0, used: 0 }, { layout });
  cells.set(client, cell);
  if (cells.size > 1000) {
    const [oldest, its] = cells.entries().next().value!;
    its.close();
    cells.delete(oldest);
  }
  return cell;
}

export default {
  fetch(request: Request): Response {
    const client = request.headers.get("x-client") ?? "anonymous";
    if (!/^[\w-]{1,40}$/.test(client)) return new Response("who are you?\n", { status: 400 });
    const window = Math.floor(Date.now() / 1000 / WINDOW);
    const { used } = cellOf(client).updateSync((now) => ({
      window,
      used: now.window === window ? now.used + 1 : 1,
    }));
    const headers = { "x-isolate": isolate, "x-remaining": `${Math.max(0, LIMIT - used)}` };
    if (used <= LIMIT) return new Response("welcome\n", { headers });
    return new Response("too many requests\n", { status: 429, headers: { ...headers, "retry-after": `${WINDOW}` } });
  },
};

if (import.meta.main && Deno.args.includes("--demo")) {
  const server = new Deno.Command(Deno.execPath(), {
    args: ["serve", "--parallel", "--port=0", "--host=127.0.0.1", "--allow-ffi", import.meta.filename!],
    cwd: import.meta.dirname!, // where its configuration is found
    env: { DENO_JOBS: "4" },
    stderr: "piped",
  }).spawn();
  let said = "";
  for await (const text of server.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (/:\d+\/ with/.test(said)) break;
  }
  const address = /http:\/\/\S+/.exec(said)?.[0];
  if (address === undefined) throw new Error(`the server did not start: ${said}`);
  // A connection each, as one stays with its isolate.
  const answers = await Promise.all(Array.from({ length: 300 }, async () => {
    const response = await fetch(address, { headers: { "x-client": "ann", connection: "close" } });
    await response.body?.cancel();
    return [response.status, response.headers.get("x-isolate")!] as const;
  }));
  server.kill();
  await server.status;
  const welcome = answers.filter(([status]) => status === 200).length;
  const isolates = new Set(answers.map(([, isolate]) => isolate)).size;
  console.log(`${welcome} of ${answers.length} requests were let in, by ${isolates} isolates`);
  if (welcome !== LIMIT) throw new Error("the limit was not kept");
}
