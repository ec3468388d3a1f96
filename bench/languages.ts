/**
 * Measures messages between languages, beside what each has without this package, round by round: `deno task
 * bench:languages`. Needs gcc; Python with cbor2, Node.js and Bun are left out, with a word, where they are not there.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { JavaScriptPackage } from "../tests/support/javascript_package.ts";
import { bun, type Found, node } from "../tests/support/javascript_runtimes.ts";
import { lineReader } from "../tests/support/line_reader.ts";
import { pythonPath } from "../tests/support/python.ts";
import { reportNoMatch } from "./harness/no_match.ts";

const flags = parseArgs(Deno.args, { string: ["rounds", "only"] });
const rounds = Number(flags["rounds"] ?? 3), only = new RegExp(flags["only"] ?? "");

const ROOT = new URL("../", import.meta.url).pathname;
const folder = Deno.makeTempDirSync({ prefix: "isthmus-bench-" });

/** The beginning of a program's command line, and its environment; or why it is not there. */
type Program = { readonly command: readonly string[]; readonly env?: Record<string, string> } | { missing: string };

function compiled(name: string, source: string, flags: readonly string[]): Program {
  const args = ["-O2", "-std=gnu11", ...flags, "-o", `${folder}/${name}`, ROOT + source, "-pthread"];
  try {
    const { success, stderr } = new Deno.Command("gcc", { args }).outputSync();
    return success ? { command: [`${folder}/${name}`] } : { missing: new TextDecoder().decode(stderr) };
  } catch {
    return { missing: "there is no gcc" };
  }
}

let built: JavaScriptPackage | undefined;

function javaScript(found: Found): Program {
  if ("missing" in found) return found;
  built ??= new JavaScriptPackage(["bench/languages/peer.ts"]);
  return { command: [found.runtime.path, ...found.runtime.flags, built.module("bench/languages/peer.ts")] };
}

const pip = pythonPath();
const peer = `${ROOT}bench/languages/peer.py`;
const programs = {
  "Deno": { command: [Deno.execPath(), "run", "--quiet", "--no-check", "-A", `${ROOT}bench/languages/peer.ts`] },
  "Node.js": javaScript(node()),
  "Bun": javaScript(bun()),
  "C": compiled("peer", "bench/languages/peer.c", [`-I${ROOT}clients/c`]),
  "floor": compiled("floor", "bench/peers/c/floor.c", []),
  "Python": pip === undefined
    ? { missing: "there is no python3, or pip cannot install cbor2" }
    : { command: ["python3", "-B", peer], env: { PYTHONPATH: [`${ROOT}clients/python`, pip.path].join(":") } },
} as const satisfies Record<string, Program>;

type Language = keyof typeof programs;

/** What is measured: who sends, who receives, and how. */
interface Side {
  readonly title: string;
  readonly from: Language;
  readonly to: Language;
  readonly how: string;
}

interface Row {
  readonly title: string;
  readonly size: number;
  readonly count: number;
  /** The others are told as multiples of the last one. */
  readonly sides: readonly Side[];
}

const between = (from: Language, to: Language, how: string): Side => ({ title: `${from} to ${to}`, from, to, how });
const own = (title: string, how: string): Side => ({ title, from: "Python", to: "Python", how });
const floor: Side = { title: "C floor: a ring, copied in and out", from: "floor", to: "floor", how: "" };

const ROWS: readonly Row[] = [
  {
    title: "64 B",
    size: 64,
    count: 2_000_000,
    sides: [
      between("C", "C", "copy"),
      between("Deno", "C", "copy"),
      between("C", "Deno", "copy"),
      between("Node.js", "Deno", "copy"),
      between("Deno", "Node.js", "copy"),
      between("Bun", "Deno", "copy"),
      between("Deno", "Bun", "copy"),
      floor,
    ],
  },
  {
    title: "1 MiB, borrowed",
    size: 1 << 20,
    count: 4000,
    sides: [
      between("C", "C", "place"),
      between("Deno", "C", "place"),
      between("C", "Deno", "place"),
      between("Node.js", "Deno", "place"),
      between("Deno", "Bun", "place"),
      floor,
    ],
  },
  {
    title: "1 MiB into Python",
    size: 1 << 20,
    count: 4000,
    sides: [
      { ...between("Deno", "Python", "place"), title: "Deno to Python, borrowed" },
      own("multiprocessing.shared_memory and a pipe", "shared_memory"),
      own("Unix socket", "socket"),
    ],
  },
  {
    title: "small values out of Python",
    size: 64,
    count: 200_000,
    sides: [between("Python", "Deno", "value"), own("multiprocessing.Connection", "connection")],
  },
];

interface Measurement {
  readonly ops: number;
  readonly ns: number;
}

async function measure({ from, to, how }: Side, size: number, count: number): Promise<Measurement> {
  const path = `/dev/shm/isthmus-bench-${crypto.randomUUID().slice(0, 8)}`;
  const start = (language: Language, args: readonly string[]) => {
    const { command, env = {} } = programs[language] as { command: readonly string[]; env?: Record<string, string> };
    return new Deno.Command(command[0]!, { args: [...command.slice(1), ...args], env, stdout: "piped" }).spawn();
  };
  const alone = ["floor", "Python"].includes(from) && from === to;
  const args = from === "floor"
    ? ["ring", "one-way", `${size}`, "150", "400"]
    : ["receive", path, `${size}`, `${count}`];
  const receiver = start(to, from === "floor" ? args : [...args, how]);
  const lines = lineReader(receiver.stdout);
  if (from !== "floor") await lines.next();
  const sender = alone ? undefined : start(from, ["send", path, `${size}`, `${count}`, how]);
  const timer = setTimeout(() => (receiver.kill("SIGKILL"), sender?.kill("SIGKILL")), 120_000);
  try {
    const { value } = await lines.next();
    if (value === undefined) throw new Error("it ended without a result");
    return JSON.parse(value) as Measurement;
  } finally {
    await lines.return(undefined);
    await Promise.all([receiver.status, sender?.status, sender?.stdout.cancel()]);
    clearTimeout(timer);
    for (const suffix of ["", ".bell", ".room"]) await Deno.remove(path + suffix).catch(() => {}); // the receiver's care
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

let failed = false;
try {
  for (const [name, program] of Object.entries(programs)) {
    if ("missing" in program) console.log(`Left out: ${name}: ${program.missing}`);
  }
  const rows = ROWS.filter(({ title }) => only.test(title));
  if (rows.length === 0) {
    failed = true;
    reportNoMatch({ only: flags["only"] });
  }
  for (const { title, size, count, sides } of rows) {
    const taking = sides.filter(({ from, to }) => [from, to].every((name) => !("missing" in programs[name])));
    const took = new Map<Side, number[]>(taking.map((side) => [side, []]));
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? taking : taking.toReversed()) {
        try {
          const { ops, ns } = await measure(side, size, count);
          took.get(side)!.push(ns / ops);
        } catch (error) {
          failed = true;
          console.error(`Cannot measure ${side.title}, ${title}: ${(error as Error).message}`);
        }
      }
    }
    const least = taking.at(-1), floor = least && median(took.get(least)!);
    console.log(`\n${title}, one way`);
    for (const side of taking) {
      const ns = median(took.get(side)!);
      const rate = size >= 1 << 20 ? `${(size / ns).toFixed(1)} GB/s` : `${(1000 / ns).toFixed(2)} M/s`;
      console.log(`  ${side.title.padEnd(44)} ${rate.padStart(12)}  ${(floor! / ns).toFixed(2)} x`);
    }
  }
} finally {
  built?.[Symbol.dispose]();
  if (pip?.folder !== undefined) Deno.removeSync(pip.folder, { recursive: true });
  Deno.removeSync(folder, { recursive: true });
}
if (failed) Deno.exit(1);
