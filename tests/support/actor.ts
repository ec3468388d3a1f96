// What a function that runs as a process of its own gets.

/** A function of a test file that runs in another process, or in a Worker. */
export type Actor<Job> = (job: Job, self: Self) => void | Promise<void>;

/** Its line to the test. */
export interface Self {
  /** Tells the test something, at once. */
  say(word?: unknown): void;
  /** Blocks until the test tells it something. */
  hear<T = unknown>(): T;
}

/** Talks over standard input and output, a line of JSON each; what is tested is not used for it. */
export const self: Self = {
  say(word = null) {
    const line = new TextEncoder().encode(JSON.stringify(word) + "\n");
    for (let at = 0; at < line.length;) at += Deno.stdout.writeSync(line.subarray(at));
  },
  hear() {
    const byte = new Uint8Array(1);
    const line: number[] = [];
    while (Deno.stdin.readSync(byte) === 1 && byte[0] !== 10) line.push(byte[0]!);
    return JSON.parse(new TextDecoder().decode(new Uint8Array(line)));
  },
};
