// Uncompressed video between two processes: frames of 3840 × 2160 in YUV 4:2:0, written by one process straight into the
// ring, and read by the other where they lie. Nothing is copied in between.
//
//   deno run --allow-ffi --allow-run examples/video_frames.ts [FRAMES]
import { bytesChannel, type IpcBytesSender, IpcOneShotServer, IpcSender } from "@isthmus/ipc";

const WIDTH = 3840, HEIGHT = 2160;
const LUMA = WIDTH * HEIGHT, FRAME = LUMA * 3 / 2;

interface Display {
  frames: IpcBytesSender;
}

const [first, second] = Deno.args;
if (first === "display") await display(second!);
else await camera(Number(first ?? 500));

async function camera(count: number): Promise<void> {
  using server = new IpcOneShotServer<Display>();
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", import.meta.filename!, "display", server.name],
  }).spawn();
  const [hello, { frames }] = await server.accept({ timeout: 10_000 });
  hello.close();
  for (let n = 0; n < count; n++) {
    using frame = await frames.reserve(FRAME); // waits while the display has all of them
    frame.bytes.fill(n, 0, LUMA); // brightness
    frame.bytes.fill(128, LUMA); // no colour
    frame.commit();
  }
  frames.close();
  if (!(await process.status).success) throw new Error("the display failed");
}

async function display(name: string): Promise<void> {
  const [sender, receiver] = bytesChannel({ capacity: 64 << 20 }); // five frames
  {
    using camera = IpcSender.connect<Display>(name);
    await camera.send({ frames: sender });
    sender.close();
  }
  let count = 0, start = 0;
  for (;;) {
    try {
      using frame = await receiver.borrow();
      if (count === 0) start = performance.now();
      look(frame.value, count++);
    } catch (error) {
      if ((error as { code?: string }).code === "Disconnected") break;
      throw error;
    }
  }
  receiver.close();
  const seconds = (performance.now() - start) / 1000;
  const rate = (count - 1) / seconds;
  console.log(
    `${count} frames of ${WIDTH} × ${HEIGHT}, ${(FRAME / 1e6).toFixed(1)} MB each: ` +
      `${rate.toFixed(0)} frames/s, ${(rate * FRAME / 1e9).toFixed(1)} GB/s written and read in place`,
  );
}

/** A display would show it; this one makes sure of a pixel in each line. */
function look(frame: Uint8Array, n: number): void {
  if (frame.length !== FRAME) throw new Error(`frame ${n} has ${frame.length} bytes`);
  for (let y = 0; y < HEIGHT; y++) {
    if (frame[y * WIDTH + y % WIDTH] !== n % 256) throw new Error(`frame ${n} is broken in line ${y}`);
  }
}
