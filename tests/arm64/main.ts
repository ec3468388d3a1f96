// Runs the test suite under Deno's arm64 build, on an emulated processor. Takes the names of test files; all without.
//
// Emulation proves the tables of numbers, the layouts and the calls for arm64. It does not prove the order in which other
// processors see writes to memory: this machine's processor keeps the order that it has itself.
import { Arm64Machine } from "./machine.ts";
import { NOT_EMULATED } from "./not_emulated.ts";

/** How many times longer than on the machine itself a test may wait. A process takes seconds to start. */
const PATIENCE = 20;

/** Minutes after which a file counts as hanging. */
const LIMIT = 60;

/** Run when nothing else does: Linux counts descriptors in flight by the user, and these reach the limit. */
const ALONE = ["limits/full_descriptor_table_test.ts", "limits/inside/scarce_resources_test.ts"];

const TESTS = new URL("../", import.meta.url).pathname;

interface Outcome {
  passed: number;
  failed: number;
  ignored: number;
}

/** Every test file, from the folder `tests`. */
function testFiles(folder = ""): string[] {
  return [...Deno.readDirSync(TESTS + folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? testFiles(`${folder}${name}/`) : name.endsWith("_test.ts") ? [folder + name] : []
  ).sort();
}

/** The files that arguments name, however they are written. */
function chosen(all: string[]): string[] {
  if (Deno.args.length === 0) return all;
  return Deno.args.map((arg) => {
    const found = all.find((file) => [file, `tests/${file}`, `./tests/${file}`].includes(arg));
    if (found === undefined) throw new Error(`Cannot run "${arg}": there is no such test file`);
    return found;
  });
}

/** The test files that are running. */
const running = new Set<Deno.ChildProcess>();

async function runFile(machine: Arm64Machine, file: string, met: string): Promise<Outcome> {
  const begin = performance.now();
  const process = machine.command([
    ...["test", "--allow-all", "--no-check", "--preload", `${TESTS}arm64/preload.ts`, TESTS + file],
  ], { ISTHMUS_TEST_PATIENCE: String(PATIENCE), ISTHMUS_ARM64_FILE: file, ISTHMUS_ARM64_MET: met }).spawn();
  running.add(process);
  const hanging = setTimeout(() => process.kill("SIGKILL"), LIMIT * 60_000);
  const { success, signal, stdout, stderr } = await process.output();
  clearTimeout(hanging);
  running.delete(process);
  const text = new TextDecoder().decode(stdout);
  const count = (word: string) => Number(new RegExp(`^(?:ok|FAILED) \\|.*?(\\d+) ${word}`, "m").exec(text)?.[1] ?? 0);
  const outcome = { passed: count("passed"), failed: count("failed"), ignored: count("ignored") };
  if (!success) outcome.failed ||= 1;
  const seconds = Math.round((performance.now() - begin) / 1000);
  console.log(
    `${success ? "ok" : "FAILED"}  ${file}: ${outcome.passed} passed, ${outcome.failed} failed, ` +
      `${outcome.ignored} ignored, ${seconds} s`,
  );
  if (!success) {
    console.log(text, new TextDecoder().decode(stderr));
    if (signal !== null) console.log(`Ended by ${signal}; it may take ${LIMIT} minutes`);
  }
  return outcome;
}

/** Entries of the list that name nothing: a file that is not there, or a test that was not met in a file that was run. */
function stale(all: string[], ran: string[], met: string): string[] {
  const found = new Set(Deno.readTextFileSync(met).split("\n"));
  return NOT_EMULATED.filter(({ file, test }) =>
    !all.includes(file) || (test !== undefined && ran.includes(file) && !found.has(JSON.stringify([file, test])))
  ).map(({ file, test }) => test === undefined ? file : `${file}: ${test}`);
}

const begin = performance.now();
const folder = Deno.makeTempDirSync({ prefix: "isthmus-arm64-" });
const total: Outcome = { passed: 0, failed: 0, ignored: 0 };
let outdated: string[] = [];
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    for (const process of running) process.kill("SIGKILL");
    Deno.removeSync(folder, { recursive: true });
    Deno.exit(1);
  });
}
try {
  const all = testFiles();
  const files = chosen(all).filter((file) => !NOT_EMULATED.some((entry) => entry.file === file && !entry.test));
  const machine = await Arm64Machine.make(folder);
  await machine.fetch(files.map((file) => TESTS + file));
  console.log(`${files.length} files, under Deno ${machine.version} for arm64`);
  const met = `${folder}/met`;
  Deno.writeTextFileSync(met, "");
  const run = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const outcome = await runFile(machine, file, met);
      total.passed += outcome.passed, total.failed += outcome.failed, total.ignored += outcome.ignored;
    }
  };
  const queue = files.filter((file) => !ALONE.includes(file));
  // Each file has shared memory of its own, so as many run at a time as there are processors.
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, () => run(queue)));
  await run(files.filter((file) => ALONE.includes(file)));
  outdated = stale(all, files, met);
} finally {
  Deno.removeSync(folder, { recursive: true });
}

for (const { file, test, reason } of NOT_EMULATED) {
  console.log(`Not possible under emulation: ${file}${test === undefined ? "" : `: ${test}`}\n  ${reason}`);
}
for (const entry of outdated) console.log(`In the list of what is not possible, but nowhere else: ${entry}`);
const minutes = Math.round((performance.now() - begin) / 60_000);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.ignored} ignored, ${minutes} min`);
Deno.exit(total.failed > 0 || outdated.length > 0 ? 1 : 0);
