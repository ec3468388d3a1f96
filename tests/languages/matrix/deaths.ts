// Scenarios of the matrix in which a driver is killed at a random moment, again and again, and the others go on.
import { assert, assertEquals } from "@std/assert";
import type { Driver } from "../../support/driver.ts";
import { expectOk, mode, type Place, random, randomMoment, runsOf } from "./place.ts";
import type { Pool } from "./pool.ts";

/** How often the drivers say how far they are: after so many messages. */
const EVERY = 16;
/** Messages that each sender has for itself. */
const APART = 1_000_000;
/** The index that ends a drain. */
const END = 1e12;
const SIZE = 300;

/** Kills a driver at a random moment after it has told of some progress; what it had told. */
async function killSoon(pool: Pool, driver: Driver): Promise<number[]> {
  let seen = 0;
  const least = random(12);
  const answer = await driver.answer(() => ++seen > least);
  assert(answer.startsWith("at "), answer);
  pool.prepare();
  await randomMoment();
  return await driver.kill();
}

/** Senders that are killed: what each said it had sent has come, in order and once; the next one goes on. */
export async function killedSender({ first, second, folder, kills }: Place): Promise<void> {
  for (const [turn, kind] of ["bytes", "values"].entries()) {
    const rounds = (kills + 1 - turn) >> 1; // half of the kills each
    if (rounds === 0) continue;
    const to = second.take();
    const path = `${folder}/${kind}`;
    await to.ok(`create r ${path} ${kind} 65536`);
    await to.tell(`drain r ${END} ${SIZE} ${kind === "bytes" ? "borrow" : "copy"} ${EVERY}${await mode(second, turn)}`);
    const draining = to.answer();
    draining.catch(() => {}); // told below
    const told: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const from = first.take(), how = kind === "bytes" && round % 2 === 0 ? "loan" : "copy";
      await from.ok(`open s ${path} ${kind}`);
      const blocking = await mode(first, random(2));
      await from.tell(`flood s ${round * APART} ${SIZE} ${how} ${EVERY} ${folder}/never${blocking}`);
      told.push((await killSoon(first, from)).at(-1)!);
    }
    const last = first.take();
    await last.ok(`open s ${path} ${kind}`);
    await last.ok(`send s ${rounds * APART} 100 ${SIZE} copy`);
    await last.ok(`send s ${END} 1 ${SIZE} copy`);
    const runs = runsOf(await draining);
    assertEquals(runs.length, rounds + 2, JSON.stringify(runs));
    assertEquals(runs.slice(rounds), [[rounds * APART, rounds * APART + 99], [END, END]]);
    for (const [round, next] of told.entries()) {
      const [begin, end] = runs[round]!;
      assertEquals(begin, round * APART);
      assert(end >= next - 1, `all below ${next} had been sent, and ${end} was the last one that came`);
    }
    await last.ok("close s");
    await to.ok("close r");
    first.giveBack(last), second.giveBack(to);
  }
}

/** Receivers that are killed: the next one gets the next message, less at most what was in hand. */
export async function killedReceiver({ first, second, folder, kills }: Place): Promise<void> {
  const from = first.take();
  const path = `${folder}/channel`, stop = `${folder}/stop`;
  let flooding: Promise<string> | undefined;
  let known = -1; // the last one that a receiver told of
  const drain = async () => {
    const to = second.take();
    await to.ok(`create r ${path} bytes 65536`);
    const how = random(2) === 0 ? "borrow" : "copy";
    await to.tell(`drain r ${END} ${SIZE} ${how} ${EVERY}${await mode(second, random(2))}`);
    if (flooding === undefined) {
      await from.ok(`open s ${path} bytes`);
      await from.tell(`flood s 0 ${SIZE} copy ${EVERY} ${stop}${await mode(first, random(2))}`);
      flooding = from.answer();
      flooding.catch(() => {}); // told below
    }
    return to;
  };
  const followsKnown = (begin: number) => {
    const what = `${known} was told of, and ${begin} was the first one of the next receiver`;
    assert(begin > known && begin <= known + EVERY + 1, what);
  };
  for (let round = 0; round < kills; round++) {
    const told = await killSoon(second, await drain());
    followsKnown(told[0]! - EVERY + 1);
    told.forEach((index, i) => assertEquals(index, told[0]! + i * EVERY));
    known = told.at(-1)!;
  }
  const to = await drain();
  await to.answer(() => true);
  Deno.writeTextFileSync(stop, "");
  const draining = to.answer();
  const answer = await flooding!;
  assertEquals(answer.split(" ").length, 2, answer);
  const next = Number(answer.slice(3));
  await from.ok(`send s ${END} 1 ${SIZE} copy`);
  const runs = runsOf(await draining);
  followsKnown(runs[0]![0]);
  assertEquals(runs.map(([, last]) => last), [next - 1, END]);
  await from.ok("close s");
  await to.ok("close r");
  first.giveBack(from), second.giveBack(to);
}

/** Holders of a cell's lock that are killed: the value stays whole, no addition is lost, and the others go on. */
export async function killedHolder({ first, second, folder, cell, kills }: Place): Promise<void> {
  for (const [turn, layout] of ["cbor", "struct"].entries()) {
    const rounds = (kills + 1 - turn) >> 1;
    if (rounds === 0) continue;
    const survivor = second.take();
    const name = `${cell}-${layout}`, stop = `${folder}/stop-${layout}`;
    await survivor.ok(`cell c ${name} create ${layout}`);
    await survivor.tell(`hammer c lock 1 ${stop}${await mode(second, turn)}`);
    const hammering = survivor.answer();
    hammering.catch(() => {}); // told below
    let sum = 0;
    for (let round = 0; round < rounds; round++) {
      const dying = first.take();
      await dying.ok(`cell c ${name} load ${layout}`);
      await dying.tell(`hammer c lock 1 ${folder}/never${await mode(first, random(2))}`);
      sum += (await killSoon(first, dying)).at(-1)!;
    }
    Deno.writeTextFileSync(stop, "");
    const answer = await hammering;
    assertEquals(answer.split(" ")[0], "ok", answer);
    sum += Number(answer.slice(3));
    const [n, copy] = (await survivor.ok("read c")).split(" ").map(Number) as [number, number];
    assertEquals(n, copy);
    assert(n >= sum && n <= sum + rounds, `${sum} additions were told of, the number is ${n}, after ${rounds} kills`);
    await survivor.ok("add c 1 lock");
    await survivor.ok("close c");
    second.giveBack(survivor);
  }
}

/** One side of a conversation is killed: the other one learns of it, and serves or finds the next. */
export async function killedInConversation({ first, second, folder, kills }: Place): Promise<void> {
  let server = first.take();
  let turns = 0;
  const name = () => `${folder}/server-${turns}`;
  await server.ok(`serve l ${name()}`);
  for (let round = 0; round < kills; round++) {
    const client = second.take();
    await client.tell(`connect h ${name()}`);
    await server.ok("accept h l");
    await expectOk(client);
    await server.tell("serve-echo h");
    await client.tell(`ask h 0 ${APART * 100} 200`);
    await randomMoment();
    if (round % 2 === 0) {
      second.prepare();
      await client.kill();
      await expectOk(server);
      await server.ok("close h");
      continue;
    }
    first.prepare();
    await server.kill();
    const answer = await client.answer();
    assert(answer.startsWith("error Disconnected "), answer);
    await client.ok("close h");
    second.giveBack(client);
    server = first.take();
    turns++;
    await server.ok(`serve l ${name()}`);
  }
  await server.ok("close l");
  first.giveBack(server);
}
