// Giving way to the event loop. A promise that is fulfilled without a turn of it runs its continuation at once, so a
// program that awaits such promises in a loop keeps its timers, its signals and its other input waiting. Every call of
// this package that returns a promise asks here whether it must let the others go first.

/** Milliseconds for which a program may go on without a turn of the event loop, about. */
const PERIOD = 10;

/**
 * Turns that let everything through once. Timers and signals get theirs with each turn, but Deno looks for input only
 * after 61 of them, unless there is nothing else to do: with one turn every 10 ms, a TCP round trip beside a flooded
 * receiver took 600 ms; with 64 it takes 10. They cost 0.13 ms together. (A timer would do as well, but cannot be had for
 * less than 1.1 ms: a tenth of the throughput.)
 */
const TURNS = 64;

/**
 * Calls between two looks at the clock, at most, if they are quick: a look costs 80 ns. When they become slow suddenly,
 * so many of them pass before it is seen.
 */
const MOST_CALLS = 32;

// As they are now: tests of programs put their own in the place of these.
const now = Date.now, defer = setImmediate;

/** Calls from one look at the clock to the next, and how many of them are left. */
let calls = 1, left = 1;
/** When the clock was looked at, and when the others had their turn, by the clock. */
let lookedAt = now(), gaveWayAt = lookedAt;
/** Turns of the event loop since then that nobody has asked for. */
let turns = 0;
let giving: Promise<void> | undefined;

/**
 * Whether what would be done without a turn of the event loop has to wait until {@linkcode giveWay} resolves. To be asked
 * once by each call that returns a promise.
 */
export function mustGiveWay(): boolean {
  return --left <= 0 && look();
}

function look(): boolean {
  if (giving !== undefined) return true; // or those who wait for their turn would not get it
  const time = now(), passed = time - lookedAt;
  lookedAt = time;
  left = calls = passed > 1 || passed < 0 ? 1 : Math.min(2 * calls, MOST_CALLS);
  const since = time - gaveWayAt;
  if (since < PERIOD && since >= 0) return false; // less than 0 when somebody has set the clock
  left = 0;
  return true;
}

/** Lets the event loop do what there is to do, input included. Callers at the same time share the turns. */
export function giveWay(): Promise<void> {
  return giving ??= new Promise((resolve) => {
    left = 0;
    let rest = TURNS;
    const turn = () => {
      if (--rest > 0) {
        defer(turn);
        return;
      }
      giving = undefined;
      gaveIt(now());
      resolve();
    };
    defer(turn);
  });
}

function gaveIt(time: number): void {
  gaveWayAt = lookedAt = time;
  turns = 0;
  left = calls;
}

/** The event loop has called this package: so the others have had a turn as well. */
export function turned(): void {
  if (++turns >= TURNS && giving === undefined) gaveIt(now());
}

/** The same outcome as that of a call, after the others had their turn if it is theirs. */
export function afterOthers<T>(outcome: Promise<T>): Promise<T> {
  return mustGiveWay() ? later(outcome) : outcome;
}

async function later<T>(outcome: Promise<T>): Promise<T> {
  outcome.catch(() => {}); // it is handled, a little later
  await giveWay();
  return await outcome; // so that the stack of an error says who waited
}
