// A file system whose files answer as slowly as their owner likes: FUSE, by hand. Needs root, and /dev/fuse.
import { libc } from "../../ffi/libc/libc.ts";
import { O_CLOEXEC, O_RDWR, platform } from "../../ffi/libc/platform.ts";
import type { Self } from "../support/actor.ts";

const LOOKUP = 1, FORGET = 2, GETATTR = 3, OPEN = 14, READ = 15, RELEASE = 18, FLUSH = 25, INIT = 26, INTERRUPT = 36;
/** Requests that are answered late: a process that reads, asks for the size, or closes, waits. */
const LATE = new Set([GETATTR, READ, FLUSH]);
const ENOSYS = 38;
const SIZE = 100_000;
const MNT_DETACH = 2;

const SYMBOLS = {
  mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
} as const;

const text = (value: string) => new TextEncoder().encode(value + "\0");

/** What is known of a file: a folder, or one file in it. */
function attributes(node: number): Uint8Array {
  const attr = new DataView(new ArrayBuffer(88));
  attr.setBigUint64(0, BigInt(node), true);
  attr.setBigUint64(8, BigInt(SIZE), true);
  attr.setUint32(60, node === 1 ? 0o40755 : 0o100644, true);
  attr.setUint32(64, 1, true);
  attr.setUint32(80, 4096, true);
  return new Uint8Array(attr.buffer);
}

/** What is answered to a request; `undefined` for none. */
function answer(operation: number, node: number): Uint8Array | undefined {
  const words = (...all: number[]) => new Uint8Array(new Uint32Array(all).buffer);
  const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
  switch (operation) {
    case INIT:
      return words(7, 31, 0, 0, 12 | 10 << 16, 65_536, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    case LOOKUP:
      return join(words(2, 0, 0, 0, 0, 0, 0, 0, 0, 0), attributes(2));
    case GETATTR:
      return join(words(0, 0, 0, 0), attributes(node));
    case OPEN:
      return words(1, 0, 1, 0);
    case READ:
      return new Uint8Array(4096);
    case FLUSH:
    case RELEASE:
      return new Uint8Array();
  }
  return undefined;
}

/** Serves a file system at a folder until it is told to stop. Says whether it could be mounted. */
export async function serveSlowly({ folder, delay }: { folder: string; delay: number }, self: Self): Promise<void> {
  const library = Deno.dlopen(platform().libc, SYMBOLS);
  const device = libc().c.open(text("/dev/fuse"), O_RDWR | O_CLOEXEC, 0);
  const options = `fd=${device},rootmode=40000,user_id=0,group_id=0`;
  const mounted = device >= 0 &&
    library.symbols.mount(text("slow"), text(folder), text("fuse"), 0n, text(options)) === 0;
  self.say(mounted);
  if (!mounted) return;
  // Its reads would hold this thread up: they are done by one of a pool.
  const pool = Deno.dlopen(platform().libc, {
    read: { parameters: ["i32", "buffer", "usize"], result: "i32", nonblocking: true },
  });
  const request = new Uint8Array(1 << 20), view = new DataView(request.buffer);
  for (;;) {
    if (await pool.symbols.read(device, request, BigInt(request.length)) < 0) break; // unmounted
    const operation = view.getUint32(4, true), unique = view.getBigUint64(8, true);
    const node = Number(view.getBigUint64(16, true));
    if (operation === FORGET || operation === INTERRUPT) continue;
    const body = answer(operation, node);
    const reply = new Uint8Array(16 + (body?.length ?? 0)), header = new DataView(reply.buffer);
    header.setUint32(0, reply.length, true);
    header.setInt32(4, body === undefined ? -ENOSYS : 0, true);
    header.setBigUint64(8, unique, true);
    reply.set(body ?? [], 16);
    setTimeout(() => libc().c.write(device, reply, BigInt(reply.length)), LATE.has(operation) ? delay : 0);
  }
  pool.close(), library.close();
}

/** Takes the file system away; what waits for it fails. */
export function unmount(folder: string): void {
  const library = Deno.dlopen(platform().libc, SYMBOLS);
  library.symbols.umount2(text(folder), MNT_DETACH);
  library.close();
}
