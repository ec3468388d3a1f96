// The examples of topics and of a rate limit, as real processes, with a real HTTP client.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { START } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

const ROOT = new URL("../../", import.meta.url);

const example = (name: string) => new URL(`examples/${name}`, ROOT).pathname;

processTest("examples/events.ts: each subscriber sees or misses every event, whatever the others do", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-ffi", `--allow-run=${Deno.execPath()}`, example("events.ts")],
    stdin: "null",
  }).output();
  const out = new TextDecoder().decode(stdout);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assertEquals(out.match(/a quick one received \d+ and missed \d+/g)?.length, 3);
  assertMatch(out, /a sleepy one received \d+ and missed [1-9]/);
  assertMatch(out, /the doomed one was ended by SIGKILL/);
});

processTest(
  "examples/one_at_a_time.ts: one process has the duty at a time, and the next learns of a death",
  async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-ffi", `--allow-run=${Deno.execPath()}`, example("one_at_a_time.ts")],
      stdin: "null",
    }).output();
    const out = new TextDecoder().decode(stdout);
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const [first, second, third, last] = [...out.matchAll(/^process (\d+) /gm)].map((match) => match[1]!);
    assertEquals(new Set([first, second, third]).size, 3);
    assertMatch(out, new RegExp(`^process ${second} has the duty, as process ${first} died$`, "m"));
    assertMatch(out, new RegExp(`^process ${third} has the duty, as process ${second} died$`, "m"));
    assertEquals(last, third);
  },
);

/** `deno serve --parallel` with four isolates; its address. */
async function serve(): Promise<
  { server: Deno.ChildProcess; address: string; said: ReadableStreamDefaultReader<string> }
> {
  const server = new Deno.Command(Deno.execPath(), {
    args: ["serve", "--parallel", "--port=0", "--host=127.0.0.1", "--allow-ffi", example("rate_limiter.ts")],
    env: { DENO_JOBS: "4", NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const said = server.stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "";;) {
    const { value, done } = await said.read();
    if (done) throw new Error(`it ended: ${text}`);
    text += value;
    const address = /http:\/\/[\d.:]+\//.exec(text)?.[0];
    if (address !== undefined && /4 threads/.test(text)) return { server, address, said };
  }
}

processTest("examples/rate_limiter.ts: four isolates let in exactly as many as one would", async () => {
  const { server, address, said } = await serve();
  try {
    const ask = async (client: string) => {
      const response = await fetch(address, { headers: { "x-client": client, connection: "close" } });
      await response.body?.cancel();
      return response;
    };
    // All isolates are started by now, but the first that listens gets all that connect before the others do.
    const listening = new Set<string | null>();
    for (const end = performance.now() + START; listening.size < 2 && performance.now() < end;) {
      listening.add((await ask("warm")).headers.get("x-isolate"));
    }
    const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => ask(i % 2 === 0 ? "ann" : "ben")));
    for (const client of [0, 1]) {
      const let_in = answers.filter(({ status }, i) => i % 2 === client && status === 200);
      assertEquals(let_in.length, 100);
      // Each of them was told another number of requests that are left.
      assertEquals(new Set(let_in.map(({ headers }) => headers.get("x-remaining"))).size, 100);
    }
    const refused = answers.find(({ status }) => status !== 200)!;
    assertEquals([refused.status, refused.headers.get("retry-after")], [429, "3600"]);
    assert(new Set(answers.map(({ headers }) => headers.get("x-isolate"))).size > 1, "one isolate answered all");
    assertEquals((await ask("what/ever")).status, 400);
    assertEquals((await ask("eve")).headers.get("x-remaining"), "99");
  } finally {
    server.kill("SIGTERM");
    await server.status;
    await said.cancel();
    for (const client of ["ann", "ben", "eve", "warm"]) {
      await Deno.remove(`/dev/shm/isthmus.rate-${server.pid}-${client}`).catch(() => {}); // it is ended without a word
    }
  }
});

for (const name of ["events.ts", "one_at_a_time.ts", "rate_limiter.ts"]) {
  const ignore = Deno.permissions.querySync({ name: "read" }).state !== "granted";
  Deno.test(`examples/${name} has less than 80 lines`, { ignore }, () => {
    assert(Deno.readTextFileSync(example(name)).split("\n").length <= 80);
  });
}
