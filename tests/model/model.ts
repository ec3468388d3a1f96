// Checks the models with Spin, that of the ring's protocol and that of a channel without a ring yet: every interleaving of
// each scenario, then that each safeguard of the protocol is needed. A model that cannot fail proves nothing, so what is removed must be missed.
//
//   deno task model            everything
//   deno task model --quick    one scenario of each model, and the safeguards

/** What one run of the checker found. */
interface Outcome {
  readonly errors: number;
  readonly states: number;
  readonly seconds: number;
}

/** One search: its name, what is defined for it, and the model. */
type Search = readonly [name: string, defines: string, model: "ring" | "ringless"];

/** Mebibytes that one search may take. */
const MEMORY = 3800;

const MESSAGES = "BLOCKS=2 MESSAGES_0=1 MESSAGES_1=1";
const ROOM = "BLOCKS=2 MESSAGES_0=2 MESSAGES_1=1 LARGEST=1";
/** Without deaths, as these are not about them. */
const MIXED = "BLOCKS=2 MESSAGES_0=2 MESSAGES_1=1 NOBODY_DIES";
const TAKE_OVER = "BLOCKS=2 MESSAGES_0=1 MESSAGES_1=1 TAKE_OVER";
const KILLED = "BLOCKS=4 MESSAGES_0=1 MESSAGES_1=1 LARGEST=1 RECEIVER_DIES";
const WARM = "BLOCKS=4 START=30 MESSAGES_0=1 MESSAGES_1=1 LARGEST=1 WARM LOANS";
const IDLE = "BLOCKS=2 POSITIONS=8 START=6 MESSAGES_0=2 MESSAGES_1=5 LARGEST=1 IDLE NOBODY_DIES";

/** Of the ring, each without a counterexample. */
const SCENARIOS: readonly [name: string, defines: string][] = [
  ["two senders, messages up to the size of the ring, both may die", MESSAGES],
  ["more messages than room, both may die", ROOM],
  ["a loan that stays open while its sender goes on", "BLOCKS=4 MESSAGES_0=2 MESSAGES_1=1 LARGEST=1 LOANS ONE_DIES"],
  ["a sender that takes the slot of a dead one over", TAKE_OVER],
  ["a ring is rewound to its first blocks", WARM],
  ["memory is given back", "BLOCKS=2 POSITIONS=16 START=14 MESSAGES_0=1 MESSAGES_1=1 LARGEST=1 TRIM ONE_DIES"],
  ["a sender idles while positions go half-way round", IDLE],
  ["a receiver that is killed, and the next one", KILLED],
];

/** Of the ring: each removes one safeguard, or changes one order; each must have a counterexample. */
const MUTATIONS: readonly [name: string, define: string, defines: string][] = [
  ["nothing is looked at after the waiting flag is set", "GAP_BEFORE_FLAG NO_SECOND_LOOK", MESSAGES],
  ["no second look at the gap's words", "NO_SECOND_LOOK_AT_THE_GAP", ROOM],
  ["a gap is skipped without asking who claimed it", "NO_LOOK_AT_CLAIM_RECORDS", MESSAGES],
  ["the claim record is written after the tail has moved", "RECORD_AFTER_CLAIM", MESSAGES],
  ["the record of a claim that found no room stays", "RECORD_OF_A_FULL_RING", MESSAGES],
  ["the commit word before the copy", "COMMIT_BEFORE_COPY", MESSAGES],
  ["no ring at the commit", "NO_RING_AT_COMMIT", MESSAGES],
  ["the flag is cleared before the byte is written", "FLAG_BEFORE_BYTE", MESSAGES],
  ["the flag is cleared without its ticket", "NO_TICKET", ROOM],
  ["no last look once all senders are gone", "NO_LAST_LOOK", MESSAGES],
  ["the head is published before the message is read", "HEAD_BEFORE_READING", MESSAGES],
  ["the head is published before the word is cleared", "HEAD_BEFORE_WORD", ROOM],
  ["the word is cleared before READ has moved", "READ_AFTER_WORD", KILLED],
  ["no second look for room", "NO_SECOND_LOOK_FOR_ROOM", ROOM],
  ["who waits for room does not ring", "NO_RING_BY_WHO_WAITS", MESSAGES],
  ["room is asked for before the bell is sent", "SPACE_BEFORE_ITS_BELL", MIXED],
  ["the wish for room is looked for before the head is published", "SPACE_BEFORE_HEAD", MESSAGES],
  ["the wish for room is cleared after the bells were looked for", "BELLS_BEFORE_SPACE", MIXED],
  ["the limit is never renewed", "LIMIT_IS_KEPT", IDLE],
  ["the record of a rewind that was lost stays", "RECORD_OF_A_LOST_SWAP", WARM],
];

/** The same of a channel without a ring, whose model has one scenario. */
const RINGLESS_MUTATIONS: readonly [name: string, define: string][] = [
  ["a bell that came before the packet is not looked for", "NO_LOOK_AFTER_THE_PACKET"],
  ["a packet that came before the bell is not looked for", "NO_LOOK_AFTER_THE_BELL"],
  ["no other bell where the last one was closed", "NO_OTHER_BELL"],
  ["a receiver makes a ring without stopping the sender", "NO_STOP"],
  ["it reads what was sent, then stops the sender", "DRAIN_BEFORE_THE_STOP"],
  ["it gives the ring away, then stops the sender", "RING_BEFORE_THE_STOP"],
  ["it gives the ring away, then puts the posted message in", "RING_BEFORE_THE_POST"],
  ["it does not put the posted message in", "NO_POST_HANDED_ON"],
  ["a sender does not put the posted message into its ring", "NO_POST_IN_THE_RING"],
  ["a message that was received is received from the ring again", "NO_SKIP"],
  ["a posted message is dropped before it is received", "DROP_WHEN_READ"],
  ["a sender does not wait for the ring of a receiver that is there", "NO_WAIT_FOR_THE_RING"],
  ["a sender finds that the receiver hung up, and reads no more", "NO_READ_AFTER_THE_HANG_UP"],
  ["the first end that the socket tells counts", "NO_SECOND_READ"],
  ["the second one does", "NO_THIRD_READ"],
  ["a reset counts as a packet that was dropped", "NO_SECOND_DROP"],
];

const ALL_SCENARIOS: readonly Search[] = [
  ...SCENARIOS.map(([name, defines]) => [name, defines, "ring"] as const),
  ["a channel without a ring, both sides may die", "BOTH_DIE", "ringless"],
];

const ALL_MUTATIONS: readonly Search[] = [
  ...MUTATIONS.map(([name, define, defines]) => [name, `${defines} ${define}`, "ring"] as const),
  ...RINGLESS_MUTATIONS.map(([name, define]) => [`without a ring: ${name}`, define, "ringless"] as const),
];

const pathOf = (model: string) => new URL(`${model}.pml`, import.meta.url).pathname;

/** Runs a command to its end; what it wrote. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${command} ${args.join(" ")} failed:\n${text}`);
  return text;
}

/** Searches every state that the model can get into, in a folder of its own. */
async function search([, defines, model]: Search, folder: string): Promise<Outcome> {
  const cwd = await Deno.makeTempDir({ dir: folder });
  const begin = performance.now();
  const flags = defines.split(" ").map((define) => `-D${define}`);
  await run("spin", ["-a", ...flags, pathOf(model)], cwd);
  await run("gcc", ["-O1", "-w", "-DSAFETY", "-DCOLLAPSE", `-DMEMLIM=${MEMORY}`, "-o", "pan", "pan.c"], cwd);
  // Ends that Spin calls invalid are judged by the model itself.
  const text = await run("./pan", ["-E", "-m1000000"], cwd);
  const errors = /errors: (\d+)/.exec(text), states = /([\d.e+]+) states, stored/.exec(text);
  if (errors === null || states === null) throw new Error(`Cannot read what the checker said:\n${text}`);
  // What was not looked at everywhere says nothing, unless an error was found.
  if (errors[1] === "0" && /max search depth too small|Search not completed|out of memory/.test(text)) {
    throw new Error(`The search was not exhaustive:\n${text}`);
  }
  if (errors[1] !== "0" && !/assertion violated/.test(text)) throw new Error(`No assertion failed:\n${text}`);
  return { errors: Number(errors[1]), states: Number(states[1]), seconds: (performance.now() - begin) / 1000 };
}

/** The steps that lead to the error, one a line, as the model's source has them. */
async function trace([, defines, model]: Search, folder: string): Promise<string> {
  const cwd = await Deno.makeTempDir({ dir: folder });
  const flags = defines.split(" ").map((define) => `-D${define}`);
  await run("spin", ["-a", ...flags, pathOf(model)], cwd);
  await run("gcc", ["-O2", "-w", "-DSAFETY", "-DREACH", `-DMEMLIM=${MEMORY}`, "-o", "pan", "pan.c"], cwd);
  await run("./pan", ["-E", "-m2000"], cwd);
  const { stdout } = await new Deno.Command("spin", {
    args: ["-t", "-p", "-k", `${cwd}/${model}.pml.trail`, ...flags, pathOf(model)],
    cwd,
  }).output();
  return new TextDecoder().decode(stdout);
}

async function requireTool(name: string, option: string): Promise<void> {
  try {
    await new Deno.Command(name, { args: [option], stdout: "null", stderr: "null" }).output();
  } catch {
    console.error(
      `Cannot check the model: "${name}" is not installed. On Debian and Ubuntu: apt-get install spin gcc libc6-dev`,
    );
    Deno.exit(2);
  }
}

await requireTool("spin", "-V");
await requireTool("gcc", "--version");
const quick = Deno.args.includes("--quick");
const folder = await Deno.makeTempDir({ prefix: "isthmus-model-" });
let failed = 0;

/** Does all of it, two at a time: a search has one thread. */
async function all(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...jobs];
  const worker = async () => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await job();
  };
  await Promise.all([worker(), worker()]);
}

function report(passed: boolean, name: string, { states, seconds }: Outcome, found: string): void {
  if (!passed) failed++;
  const size = `${states.toLocaleString("en")} states, ${seconds.toFixed(0)} s`;
  console.log(`${passed ? "ok    " : "FAILED"} ${name} ... ${found} (${size})`);
}

try {
  const begin = performance.now();
  const scenarios = quick ? [ALL_SCENARIOS[0]!, ALL_SCENARIOS.at(-1)!] : ALL_SCENARIOS;
  console.log(`${scenarios.length} scenarios, each without a counterexample:`);
  await all(scenarios.map((scenario) => async () => {
    const outcome = await search(scenario, folder);
    const passed = outcome.errors === 0;
    report(passed, scenario[0], outcome, passed ? "holds" : "a counterexample");
    if (!passed) console.log(await trace(scenario, folder));
  }));
  console.log(`${ALL_MUTATIONS.length} safeguards, each missed when it is gone:`);
  await all(ALL_MUTATIONS.map((mutation) => async () => {
    const outcome = await search(mutation, folder);
    const passed = outcome.errors > 0;
    report(passed, mutation[0], outcome, passed ? "a counterexample, as there must be" : "NO counterexample");
  }));
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${scenarios.length + ALL_MUTATIONS.length - failed} passed, ${failed} failed in ${seconds} s`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
if (failed > 0) Deno.exit(1);
