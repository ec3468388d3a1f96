// Scenarios of the matrix in which nobody dies.
import { assert, assertEquals } from "@std/assert";
import { expectOk, mode, type Place, random, runsOf } from "./place.ts";

/** Sends so many messages of a kind and a size from one driver to the other; all must come, in order. */
async function exchange(
  { first, second, folder }: Place,
  kind: string,
  rounds: readonly { size: number; count: number; send: string; receive: string }[],
  capacity: number,
): Promise<void> {
  const from = first.take(), to = second.take();
  const path = `${folder}/channel`;
  await to.ok(`create r ${path} ${kind} ${capacity}`);
  await from.ok(`open s ${path} ${kind}`);
  let next = 0;
  for (const [turn, { size, count, send, receive }] of rounds.entries()) {
    await to.tell(`receive r ${next} ${count} ${size} ${receive}${await mode(second, turn)}`);
    await from.tell(`send s ${next} ${count} ${size} ${send}${await mode(first, turn)}`);
    await Promise.all([expectOk(from), expectOk(to)]);
    next += count;
  }
  assertEquals(await to.ok("poll r"), "empty");
  await from.ok("close s");
  await to.ok("close r");
  first.giveBack(from), second.giveBack(to);
}

/** CBOR values. */
export const values = (place: Place) =>
  exchange(
    place,
    "values",
    [64, 64, 3000, 3000].map((size) => ({ size, count: 600, send: "copy", receive: "copy" })),
    1 << 16,
  );

/** Byte strings. */
export const bytes = (place: Place) =>
  exchange(
    place,
    "bytes",
    [64, 64, 5000, 5000].map((size) => ({ size, count: 1500, send: "copy", receive: "copy" })),
    1 << 16,
  );

/** In place, at both ends and at each of them. */
export const borrowAndLoan = (place: Place) =>
  exchange(
    place,
    "bytes",
    [64, 64, 5000, 40_000].flatMap((size) => [
      { size, count: 300, send: "loan", receive: "borrow" },
      { size, count: 300, send: "loan", receive: "copy" },
      { size, count: 300, send: "copy", receive: "borrow" },
    ]),
    1 << 18,
  );

/** A megabyte and more. */
export async function large(place: Place): Promise<void> {
  const sizes = (size: number) =>
    [["copy", "copy"], ["copy", "copy"]].map(([send, receive]) => ({
      size,
      count: 8,
      send: send!,
      receive: receive!,
    }));
  await exchange(place, "bytes", [
    ...sizes(1 << 20),
    { size: 3_000_000, count: 8, send: "loan", receive: "borrow" },
  ], 1 << 23);
  await exchange(place, "values", sizes(1_500_000), 1 << 22);
}

/** Both add to one number, in each layout; each addition counts, and the number and its copy agree. */
export async function cell({ first, second, cell }: Place): Promise<void> {
  const maker = first.take(), other = second.take();
  for (const [turn, [layout, how]] of CELLS.entries()) {
    const name = `${cell}-${turn}`, count = how === "atomic" ? 20_000 : 500;
    await maker.ok(`cell c ${name} create ${layout}`);
    await other.ok(`cell c ${name} load ${layout}`);
    await maker.tell(`add c ${count} ${how}${await mode(first, turn)}`);
    await other.tell(`add c ${count} ${how}${await mode(second, turn)}`);
    await Promise.all([expectOk(maker), expectOk(other)]);
    for (const driver of [maker, other]) {
      assertEquals(await driver.ok("read c"), `${2 * count} ${2 * count} 0`);
      await driver.ok("close c");
    }
  }
  first.giveBack(maker), second.giveBack(other);
}

const CELLS = [["cbor", "lock"], ["struct", "lock"], ["u64", "lock"], ["u64", "atomic"], ["cbor", "lock"]] as const;

/** Changes wake who watches; what is seen only grows, and the last value is seen. */
export async function watch({ first, second, cell }: Place): Promise<void> {
  const changer = first.take(), watcher = second.take();
  for (const [turn, layout] of ["cbor", "struct", "u64"].entries()) {
    const name = `${cell}-${turn}`;
    await changer.ok(`cell c ${name} create ${layout}`);
    await watcher.ok(`cell c ${name} load ${layout}`);
    for (const until of [1, 2, 300]) {
      await watcher.tell(`watch c ${until}`);
      assertEquals(await watcher.answer(() => true), `at ${until === 300 ? 2 : until - 1}`);
      await changer.ok(`add c ${until === 300 ? 298 : 1} lock`);
      await expectOk(watcher);
    }
    for (const driver of [changer, watcher]) await driver.ok("close c");
  }
  first.giveBack(changer), second.giveBack(watcher);
}

/** A server and its client: questions from both sides, large ones too; the end is told. */
export async function serverAndClient({ first, second, folder }: Place): Promise<void> {
  const server = first.take(), client = second.take();
  const name = `${folder}/server`;
  await server.ok(`serve l ${name}`);
  for (const asks of ["client", "server"]) {
    await client.tell(`connect h ${name}`);
    await server.ok("accept h l");
    await expectOk(client);
    const [asker, answerer] = asks === "client" ? [client, server] : [server, client];
    await answerer.tell("serve-echo h");
    await asker.ok("ask h 0 300 200");
    await asker.ok("ask h 300 3 2000000");
    await asker.ok("close h");
    assertEquals(await expectOk(answerer), "303");
    assertEquals(await answerer.ok("poll h"), "gone");
    await answerer.ok("close h");
  }
  await server.ok("close l");
  first.giveBack(server), second.giveBack(client);
}

/** Each end is stopped for a while in the middle, and the cell's other user; nothing is lost, and nobody is declared dead. */
export async function stopped({ first, second, folder, cell }: Place): Promise<void> {
  const from = first.take(), to = second.take();
  const path = `${folder}/channel`, stop = `${folder}/stop`, end = 1e12;
  await to.ok(`create r ${path} bytes 65536`);
  await from.ok(`open s ${path} bytes`);
  await to.tell(`drain r ${end} 500 copy 16`);
  await from.tell(`flood s 0 500 copy 16 ${stop}`);
  for (const [turn, driver] of [from, to, from, to].entries()) {
    const [other, least] = [driver === from ? to : from, 3 + random(20)];
    let seen = 0;
    if (turn > 0) await driver.answer(() => ++seen > least);
    driver.signal("SIGSTOP");
    await driver.stopped();
    // The other one goes on as far as there are messages, or room; what it says meanwhile must not fill its pipe.
    await other.readFor(20);
    driver.signal("SIGCONT");
  }
  Deno.writeTextFileSync(stop, "");
  const draining = to.answer();
  const next = Number((await expectOk(from)).split(" ")[0]);
  await from.ok(`send s ${end} 1 500 copy`);
  assertEquals(runsOf(await draining), [[0, next - 1], [end, end]]);
  await from.ok("close s");
  await to.ok("close r");

  Deno.removeSync(stop);
  await from.ok(`cell c ${cell} create struct`);
  await to.ok(`cell c ${cell} load struct`);
  await from.tell(`hammer c lock 16 ${stop}`);
  await to.tell(`hammer c lock 16 ${stop}`);
  for (const driver of [from, to, from, to]) {
    let seen = 0;
    const least = random(20);
    await driver.answer(() => ++seen > least);
    driver.signal("SIGSTOP");
    await driver.stopped();
    await (driver === from ? to : from).readFor(20);
    driver.signal("SIGCONT");
  }
  Deno.writeTextFileSync(stop, "");
  const [mine, theirs] = (await Promise.all([expectOk(from), expectOk(to)])).map(Number);
  assertEquals(await from.ok("read c"), `${mine! + theirs!} ${mine! + theirs!} 0`);
  assert((await to.ok("read c")).endsWith(" 0"));
  for (const driver of [from, to]) await driver.ok("close c");
  first.giveBack(from), second.giveBack(to);
}
