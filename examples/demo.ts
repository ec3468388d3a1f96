/**
 * Two processes and one file: the parent sends it through a channel, the worker computes its SHA-256, a shared cell says
 * how far the worker is, and the parent checks the digest against its own.
 *
 * ```sh
 * deno task demo [FILE]
 * ```
 *
 * Exits 0 if the digests agree, 1 if they do not or the worker dies, 2 if the file cannot be read.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { channel, IpcArc, IpcError, IpcOneShotServer, type IpcSender } from "@isthmus/ipc";
import { parseArgs } from "@std/cli/parse-args";
import type { Hello, Part, Progress, Report } from "./demo_messages.ts";
import { megabytes, ProgressBar } from "./demo_progress.ts";

const USAGE = `Usage: deno task demo [FILE]

Sends FILE (the Deno executable unless told) to a worker process and checks the SHA-256 that it computes.`;

/** Bytes of the file in one message. */
const PIECE = 256 * 1024;

/** A reason to stop that the user should read, without a stack. */
class Failure extends Error {
  constructor(message: string, readonly exitCode: number) {
    super(message);
  }
}

async function main(args: string[]): Promise<void> {
  const { _: files, help } = parseArgs(args, {
    boolean: ["help"],
    alias: { help: "h" },
    string: ["_"],
    unknown: noFlag,
  });
  if (help) return console.log(USAGE);
  if (files.length > 1) throw new Failure(`Cannot take ${files.length} files: the demo sends one\n\n${USAGE}`, 2);
  const path = files[0] === undefined ? Deno.execPath() : fromCallersFolder(`${files[0]}`);
  using file = await openFile(path);
  const { size } = await file.stat();

  const stop = new AbortController();
  const onSignal = () => stop.abort(new Failure("Interrupted", 130));
  Deno.addSignalListener("SIGINT", onSignal);
  Deno.addSignalListener("SIGTERM", onSignal);

  using server = new IpcOneShotServer<Hello>();
  using progress = IpcArc.create<Progress>(`demo-${crypto.randomUUID()}`, { bytes: 0 });
  const worker = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-ffi", new URL("demo_worker.ts", import.meta.url).href, server.name],
    stdin: "null",
  }).spawn();
  // Ends whatever the parent waits for then.
  const ended = worker.status.then(({ success, signal, code }) => {
    if (success) return;
    const how = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
    stop.abort(new Failure(`The worker, process ${worker.pid}, ${how} after ${megabytes(progress.read().bytes)}`, 1));
  });

  try {
    // The worker connects and brings a sender for its own channel.
    const [greetings, { pid, parts }] = await server.accept({ signal: stop.signal });
    greetings.close();
    console.log(`Sending "${path}" from process ${Deno.pid} to process ${pid}`);
    report(await sendFile({ file, size, parts, progress, signal: stop.signal }), pid);
  } catch (error) {
    // A worker that dies breaks its channels a moment before its parent hears of it.
    if (error instanceof IpcError && error.code === "Disconnected") await soon(ended);
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    if (!stop.signal.aborted) await soon(ended); // it has sent its report and has nothing left to wait for
    kill(worker);
    await ended;
    Deno.removeSignalListener("SIGINT", onSignal);
    Deno.removeSignalListener("SIGTERM", onSignal);
  }
}

interface Transfer {
  file: Deno.FsFile;
  size: number;
  parts: IpcSender<Part>;
  progress: IpcArc<Progress>;
  signal: AbortSignal;
}

interface Outcome {
  /** What the parent computed. */
  digest: string;
  /** Messages sent. */
  messages: number;
  seconds: number;
  /** What the worker answered. */
  report: Report;
}

/** Sends the job and the file, and waits for the report. */
async function sendFile({ file, size, parts, progress, signal }: Transfer): Promise<Outcome> {
  using _bar = new ProgressBar(size, () => progress.read().bytes);
  const [reply, reports] = channel<Report>();
  using _reports = reports;
  const begin = performance.now();
  const hash = createHash("sha256");
  let messages = 1;
  {
    using _parts = parts; // closed at the end of the block, which tells the worker that the file is complete
    await parts.send({ progress: progress.name, reply }, { signal });
    reply.close(); // the worker has its own; if the worker dies, waiting for the report ends
    const buffer = new Uint8Array(PIECE);
    for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
      const piece = buffer.subarray(0, read);
      await parts.send(piece, { signal }); // it is in the ring when this returns, so the buffer can be used again
      hash.update(piece);
      messages++;
    }
  }
  const report = await reports.recv({ signal });
  return { digest: hash.digest("hex"), messages, seconds: (performance.now() - begin) / 1000, report };
}

function report({ digest, messages, seconds, report }: Outcome, worker: number): void {
  console.log(`  size      ${megabytes(report.bytes)} (${report.bytes} bytes)`);
  console.log(`  messages  ${messages}, of up to ${PIECE / 1024} KiB`);
  console.log(`  time      ${seconds.toFixed(3)} s, ${megabytes(report.bytes / seconds)}/s`);
  console.log(`  SHA-256   ${report.digest} by process ${worker}`);
  console.log(`            ${digest} by process ${Deno.pid}`);
  if (report.digest !== digest) throw new Failure("The digests differ", 1);
  if (report.messages !== messages) throw new Failure(`Only ${report.messages} messages arrived`, 1);
  console.log(paint(32, "The digests agree"));
}

async function openFile(path: string): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    if (!(await Deno.stat(path)).isFile) throw new Failure(`Cannot send "${path}": it is not a regular file`, 2);
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const why = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : (error as Error).message;
    throw new Failure(`Cannot read "${path}": ${why}`, 2);
  }
  return file;
}

/** `deno task` changes to the folder of deno.json; a relative path means the folder that the user was in. */
function fromCallersFolder(path: string): string {
  const folder = Deno.env.get("INIT_CWD");
  return path.startsWith("/") || folder === undefined ? path : `${folder}/${path}`;
}

function noFlag(argument: string, key?: string): boolean {
  if (key !== undefined) throw new Failure(`Unknown option "${argument}"\n\n${USAGE}`, 2);
  return true;
}

function kill(worker: Deno.ChildProcess): void {
  try {
    worker.kill("SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Waits for something that is about to happen, but not for ever. */
async function soon(event: Promise<void>): Promise<void> {
  let timer;
  await Promise.race([event, new Promise((resolve) => timer = setTimeout(resolve, 1000))]);
  clearTimeout(timer);
}

function paint(color: number, text: string): string {
  return Deno.stdout.isTerminal() && !Deno.noColor ? `\x1b[${color}m${text}\x1b[39m` : text;
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(error.message);
    Deno.exitCode = error.exitCode;
  }
}
