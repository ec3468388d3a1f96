// The promise between languages, by pairs: each language sends to, shares with and serves each other, itself included. By
// `deno task test:languages`; `--kills=200` kills so often a pair, `--only=Bun,C` has pairs of these languages only.
import { numberArgument } from "../../support/test_arguments.ts";
import { patience } from "../../support/patience.ts";
import { killedHolder, killedInConversation, killedReceiver, killedSender } from "./deaths.ts";
import { borrowAndLoan, bytes, cell, large, serverAndClient, stopped, values, watch } from "./exchange.ts";
import { languages } from "./languages.ts";
import type { Place } from "./place.ts";
import { Pool } from "./pool.ts";

/** How often a pair's processes are killed; a few times, so that all pairs take some minutes. */
const KILLS = numberArgument("kills", 8);

interface Scenario {
  readonly run: (place: Place) => Promise<void>;
  /** Its part of the kills, in eighths. */
  readonly kills?: number;
  /** What the first language must have for it. */
  readonly needs?: string;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "values": { run: values },
  "bytes": { run: bytes },
  "borrow and loan": { run: borrowAndLoan },
  "large": { run: large },
  "cell under contention": { run: cell },
  "watch": { run: watch },
  "server and client": { run: serverAndClient, needs: "server" },
  "sender killed": { run: killedSender, kills: 3 },
  "receiver killed": { run: killedReceiver, kills: 2 },
  "holder killed": { run: killedHolder, kills: 2 },
  "conversation killed": { run: killedInConversation, kills: 1, needs: "server" },
  "stopped": { run: stopped },
};

/** Those whose library has no servers. */
const WITHOUT_SERVER = ["C"];

const only = Deno.args.find((argument) => argument.startsWith("--only="))?.slice(7).split(",");
const all = languages().filter(({ name }) => only === undefined || only.includes(name));
const pools = all.filter(({ missing }) => missing === undefined).map((language) => new Pool(language));

for (const { name, missing } of all) {
  if (missing === undefined) continue;
  console.log(`Skipped: ${name}: ${missing}`);
  Deno.test({ name: `${name}, left out: ${missing}`, ignore: true, fn() {} });
}

async function bounded(name: string, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const limit = patience(120_000) + 2000 * KILLS;
    timer = setTimeout(() => reject(new Error(`"${name}" hangs: not done after ${limit} ms`)), limit);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

for (const first of pools) {
  for (const second of pools) {
    for (const [what, { run, kills = 0, needs }] of Object.entries(SCENARIOS)) {
      const name = `${first.name} and ${second.name}: ${what}`;
      const ignore = needs !== undefined && WITHOUT_SERVER.includes(first.name);
      // The drivers go on from one test to the next: that is what the sanitizers would complain of.
      Deno.test({ name, ignore, sanitizeOps: false, sanitizeResources: false }, async () => {
        const folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-test-" });
        const cell = `isthmus-test-${crypto.randomUUID().slice(0, 8)}`;
        const place = { first, second, folder, cell, kills: Math.ceil(KILLS * kills / 8) };
        try {
          await bounded(name, run(place));
        } finally {
          for (const pool of new Set([first, second])) await pool.endStrays();
          Deno.removeSync(folder, { recursive: true });
        }
      });
    }
  }
}

Deno.test({ name: "All drivers end", sanitizeOps: false, sanitizeResources: false }, async () => {
  for (const pool of pools) await pool.close();
});
