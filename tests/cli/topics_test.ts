// Topics and locks on the command line.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { IpcPublisher, IpcSubscriber, locks } from "../../mod.ts";
import { isthmus, isthmusReading, killed, Running } from "../support/isthmus.ts";
import { processTest } from "../support/test.ts";

function name(): string {
  return `cli-${crypto.randomUUID()}`;
}

processTest("What one command publishes another one prints, as text, JSON or bytes", async () => {
  const topic = name();
  using _keeper = IpcPublisher.open<unknown>(topic);
  await using text = new Running("subscribe", topic, "--count=4");
  await using json = new Running("subscribe", topic, "--json", "--count=2");
  // It is there when it waits.
  while ((await isthmus("show", topic)).out.split("deno").length < 4) await new Promise((r) => setTimeout(r, 20));
  assertEquals(await isthmus("publish", topic, "hello", '{"id": 1}'), { code: 0, out: "", err: "" });
  assertEquals((await isthmusReading("a line\nanother\n", "publish", topic)).code, 0);
  assertEquals([await text.line(), await text.line(), await text.line(), await text.line()], [
    "hello",
    '{"id":1}',
    "a line",
    "another",
  ]);
  assertEquals([await json.line(), await json.line()], ['"hello"', '{"id":1}']);
  assertEquals([(await text.ended()).code, (await json.ended()).code], [0, 0]);
  const oldest = await isthmus("subscribe", topic, "--oldest", "--timeout=0");
  assertEquals(oldest, { code: 0, out: 'hello\n{"id":1}\na line\nanother\n', err: "" });
  const raw = name();
  using _bytes = IpcPublisher.open<unknown>(raw);
  assertEquals((await isthmusReading("\0binary", "publish", raw, "--raw")).code, 0);
  assertEquals((await isthmus("subscribe", raw, "--raw", "--oldest", "--timeout=0")).out, "\0binary");
});

processTest("Messages that were missed are told of", async () => {
  const topic = name();
  using publisher = IpcPublisher.open<number>(topic, { capacity: 65_536 });
  await using subscriber = new Running("subscribe", topic, "--json");
  while ((await isthmus("show", topic, "--json")).out.includes('"subscribers":[]')) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  subscriber.process.kill("SIGSTOP");
  for (let n = 0; n < 5000; n++) publisher.publish(n);
  subscriber.process.kill("SIGCONT");
  const first = Number(await subscriber.line());
  const { err } = await subscriber.end("SIGINT");
  assert(first === 0 || first === 5000 - 2048, `${first}`);
  if (first !== 0) assertStringIncludes(err, `${first.toLocaleString("en")} messages missed`);
});

processTest("ls, show, rm and gc know topics", async () => {
  const topic = name();
  const publisher = IpcPublisher.open<unknown>(topic);
  const subscriber = IpcSubscriber.open<unknown>(topic);
  publisher.publish({ id: 1 });
  publisher.publish("two");
  const listed = await isthmus("ls");
  assertMatch(listed.out, new RegExp(`topic +${topic} .*live.*${Deno.pid} deno ×2.*2 published`));
  const all = JSON.parse((await isthmus("ls", "--json")).out) as { topics: Record<string, unknown>[] };
  const mine = all.topics.find((found) => found["name"] === topic)!;
  assertEquals([mine["published"], mine["kept"], mine["stale"], mine["damage"]], [2, 2, false, null]);
  assertEquals((mine["publishers"] as { pid: number }[])[0]!.pid, Deno.pid);
  for (const operand of [topic, publisher.path]) {
    const shown = await isthmus("show", operand);
    assertEquals(shown.code, 0, shown.err);
    for (const part of [topic, "2 messages, of which 2 are kept", '{"id":1}', '"two"']) {
      assertStringIncludes(shown.out, part);
    }
  }
  const document = JSON.parse((await isthmus("show", topic, "--json", "--limit=1")).out);
  assertEquals(document.messages, [{ number: 1, length: 4, value: "two", problem: null }]);
  const refused = await isthmus("rm", topic);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.err, "a living process uses it");
  assertEquals((await isthmus("rm", topic, "--force")).code, 0);
  publisher.publish("after");
  assertEquals([subscriber.recvSync(), subscriber.recvSync(), subscriber.recvSync()], [{ id: 1 }, "two", "after"]);
  using next = IpcPublisher.open<unknown>(topic);
  next.publish("the next one");
  assertEquals(await subscriber.recv({ timeout: 30_000 }), "the next one");
  publisher.close(), subscriber.close(), next.close();
  // What a killed process leaves.
  await killed(`const p = isthmus.IpcPublisher.open(${JSON.stringify(topic)}); p.publish(1)`);
  assertStringIncludes((await isthmus("gc")).out, `would remove  topic    ${topic}`);
  assertStringIncludes((await isthmus("gc", "--yes")).out, `removed  topic    ${topic}`);
  // One that was killed half-way has left the seats alone.
  await killed(`isthmus.IpcPublisher.open(${JSON.stringify(topic)})`);
  Deno.removeSync(`/dev/shm/isthmus-topic.${topic}`);
  assertStringIncludes((await isthmus("gc", "--yes")).out, `removed  topic    ${topic}`);
  assertEquals([...Deno.readDirSync("/dev/shm")].filter((file) => file.name.includes(topic)), []);
  assertEquals(await isthmus("subscribe", topic, "--timeout=0"), { code: 0, out: "", err: "" });
  assertEquals((await isthmus("subscribe", "")).code, 2);
});

processTest("ls, show, rm and gc know locks", async () => {
  const lock = name();
  const hold = `await new Promise((held) =>
    isthmus.locks.request(${JSON.stringify(lock)}, () => (held(), new Promise(() => {}))));`;
  await locks.request(lock, async () => {
    const waiting = locks.request(lock, { mode: "shared" }, () => {});
    assertMatch((await isthmus("ls")).out, new RegExp(`lock +${lock} .*${Deno.pid} deno.*exclusive, 1 wait`));
    const shown = await isthmus("show", lock);
    assertMatch(shown.out, new RegExp(`held by +${Deno.pid} deno \\(exclusive\\)`));
    assertMatch(shown.out, new RegExp(`waited for by +${Deno.pid} deno \\(shared\\)`));
    assertEquals((await isthmus("rm", lock)).code, 1);
    return [waiting];
  });
  await killed(hold);
  assertStringIncludes((await isthmus("show", lock)).out, "that a holder died");
  assertEquals((await isthmus("rm", lock)).code, 0);
  await killed(hold);
  assertStringIncludes((await isthmus("gc", "--yes")).out, `removed  lock     ${lock}`);
});
