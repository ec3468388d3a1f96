// The line between a test in Python and the Deno program that it started. What is tested is not used for it.

/** The Deno program's end. */
export interface Self {
  say(word?: unknown): void;
  hear<T = unknown>(): T;
}

/** What a Deno program does for a test. */
// deno-lint-ignore no-explicit-any -- whatever the test gives it
export type Scenario = (self: Self, args: any[]) => void | Promise<void>;

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
