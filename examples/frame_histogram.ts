// Frames made here, and counted by numpy in a Python program, frame_histogram.py, where they lie: nothing is copied.
//
//   deno run --allow-ffi --allow-run=python3 examples/frame_histogram.ts [FRAMES]
//
// or, to start the Python program by hand:
//
//   deno run --allow-ffi examples/frame_histogram.ts FRAMES --by-hand
import { type IpcBytesDuplex, IpcBytesServer, spawn } from "@isthmus/ipc";

const WIDTH = 640, HEIGHT = 480;
/** Frames that are under way at a time. */
const AHEAD = 4;

const count = Number(Deno.args[0] ?? 100);
if (Deno.args[1] === "--by-hand") {
  using server = new IpcBytesServer();
  console.log(`python3 examples/frame_histogram.py '${server.name}'`);
  using python = await server.accept();
  await show(python);
} else {
  const program = new URL("./frame_histogram.py", import.meta.url).pathname;
  const python = await spawn("python3", { args: [program], bytes: true });
  try {
    await show(python);
    python.close(); // no more frames: it says how many there were, and ends
    const { code } = await python.status;
    if (code !== 0) throw new Error(`the Python program has ended with ${code}`);
  } finally {
    await python[Symbol.asyncDispose]();
  }
}

/** Sends frames ahead, and shows what comes back for each. */
async function show(python: IpcBytesDuplex): Promise<void> {
  for (let n = 0, answered = 0; answered < count;) {
    if (n < count && n - answered < AHEAD) {
      using frame = await python.reserve(WIDTH * HEIGHT);
      draw(frame.bytes, n++);
      frame.commit();
      continue;
    }
    const answer = await python.recv();
    const histogram = new Uint32Array(answer.slice().buffer);
    check(histogram, answered);
    if (answered++ % 25 === 0) console.log(`frame ${answered}: ${bars(histogram)}`);
  }
}

/** A ring of light that grows from frame to frame. */
function draw(pixels: Uint8Array, n: number): void {
  for (let y = 0, at = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const distance = Math.hypot(x - WIDTH / 2, y - HEIGHT / 2);
      pixels[at++] = Math.max(0, 255 - 4 * Math.abs(distance - 3 * (n % 80)));
    }
  }
}

function check(histogram: Uint32Array, n: number): void {
  const total = histogram.reduce((sum, pixels) => sum + pixels, 0);
  if (total !== WIDTH * HEIGHT) throw new Error(`frame ${n} has ${total} pixels`);
}

/** From dark to bright, as many signs as there are pixels; logarithmic, as most are dark. */
function bars(histogram: Uint32Array): string {
  return Array.from({ length: 32 }, (_, i) => {
    const pixels = histogram.subarray(8 * i, 8 * i + 8).reduce((sum, some) => sum + some, 0);
    return " ▁▂▃▄▅▆▇█"[Math.min(8, Math.ceil(Math.log10(pixels + 1) * 1.5))];
  }).join("");
}
