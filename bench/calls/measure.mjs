// @ts-self-types="./measure.d.mts"
// What every side of the calls measures; JavaScript, as Node.js runs it too.
import { measureAsync } from "../harness/loop.mjs";

/** Calls under way in one of the rows. */
const UNDER_WAY = 64;

/**
 * Measures a row, and prints the result.
 *
 * @param workload The row.
 * @param pids The other processes that work on it.
 * @param add Calls `add(1, 2)`; undefined where a start is measured.
 * @param start Starts a peer, has it answer once, and ends it.
 */
export async function measure(workload, pids, add, start) {
  let result;
  if (start !== undefined) {
    result = await measureStarts(workload, start);
  } else if (workload.name.includes(`${UNDER_WAY}`)) {
    result = await measureAsync(workload, pids, () => {
      const calls = [];
      for (let i = 0; i < UNDER_WAY; i++) calls.push(add(1, 2).then(check));
      return Promise.all(calls);
    });
    result.ops *= UNDER_WAY;
  } else {
    result = await measureAsync(workload, pids, async () => check(await add(1, 2)));
  }
  console.log(JSON.stringify(result));
}

function check(sum) {
  if (sum !== 3) throw new Error(`1 + 2 is not ${sum}`);
}

/** Only the time to the first answer counts, not that of the end. */
async function measureStarts({ warmUp, measure }, start) {
  let ops = 0, ns = 0;
  for (const milliseconds of [warmUp, measure]) {
    ops = ns = 0;
    const until = performance.now() + milliseconds;
    do {
      const began = performance.now();
      const { sum, end } = await start();
      ns += (performance.now() - began) * 1e6;
      ops++;
      check(sum);
      await end();
    } while (performance.now() < until);
  }
  return { ops, ns };
}
