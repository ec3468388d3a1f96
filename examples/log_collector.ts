// Prints what programs in C log, examples/log_source.c: one line for each message, until it is told to stop. What is logged
// while it is away comes when it is started again; if it is killed, at most the line that it was printing is lost.
//
//   deno run --allow-ffi examples/log_collector.ts /dev/shm/app.log
import { IpcBytesReceiver } from "@isthmus/ipc";

const LEVELS = ["debug", "info", "warning", "error"];
/** Bytes before the text of a line. */
const HEAD = 24;

/** A line of text for a message; it may come from any program that may write to the channel. */
function lineOf(message: Uint8Array<ArrayBuffer>): string {
  if (message.length < HEAD) return `a message of ${message.length} bytes, which is no line`;
  const fields = new DataView(message.buffer, message.byteOffset, message.length);
  const time = new Date(Number(BigInt.asIntN(53, fields.getBigUint64(0, true))) / 1000);
  const pid = fields.getUint32(8, true), level = LEVELS[fields.getUint32(12, true)] ?? "unknown";
  const dropped = fields.getUint32(16, true);
  // deno-lint-ignore no-control-regex -- what it prints must not speak to the terminal
  const text = new TextDecoder().decode(message.subarray(HEAD)).replaceAll(/[\x00-\x1f\x7f-\x9f]/g, "\uFFFD");
  const at = Number.isNaN(time.getTime()) ? "no time" : time.toISOString();
  return `${at} ${pid} ${level}: ${text}${dropped > 0 ? ` (${dropped} lines before it were dropped)` : ""}`;
}

using lines = IpcBytesReceiver.create(Deno.args[0] ?? "/dev/shm/app.log", { capacity: 16 << 20 });
const stopping = new AbortController(), stop = () => stopping.abort();
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
try {
  for await (const message of lines.values({ signal: stopping.signal })) console.log(lineOf(message));
} catch (error) {
  if (error !== stopping.signal.reason) throw error;
}
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
