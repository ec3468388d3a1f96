// One message of 500 MiB. Needs 2 GiB of memory: run by `deno task test:slow`.
import { assert, assertEquals } from "@std/assert";
import { channel } from "../../mod.ts";
import { processTest } from "../support/test.ts";
import { echoLength } from "../limits/data_sizes_test.ts";

processTest("A message of 500 MiB goes to another process whole", async ({ start }) => {
  const [one, first] = channel<Uint8Array>();
  const [two, second] = channel<[length: number, sum: number]>();
  await start(new URL("../limits/data_sizes_test.ts", import.meta.url).href, echoLength, { from: first, to: two });
  two.close();
  const bytes = new Uint8Array(500 << 20).fill(1);
  await one.send(bytes);
  const [length, sum] = await second.recv();
  assertEquals(length, bytes.length);
  assert(sum === bytes.length);
  one.close(), second.close();
});
