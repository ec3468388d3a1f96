// The lines that a program writes.

/** The lines of a stream; ends it when the caller stops. A last line without an end is dropped: its writer was killed. */
export async function* lineReader(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
