// A program that is started, whatever the runtime.

/** What a program is started with. */
export interface ProgramOptions {
  readonly args: string[];
  readonly cwd: string | URL | undefined;
  readonly env: Record<string, string>;
  readonly stdin: "piped" | "inherit" | "null";
  readonly stdout: "piped" | "inherit" | "null";
  readonly stderr: "piped" | "inherit" | "null";
}

/** How a program ended. */
export type ProgramStatus = Deno.CommandStatus;

/** A program that a runtime has started. */
export interface StartedProgram {
  readonly pid: number;
  readonly status: Promise<ProgramStatus>;
  ref(): void;
  unref(): void;
  kill(signal: Deno.Signal): void;
  readonly stdin: WritableStream<Uint8Array<ArrayBuffer>>;
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>>;
}
