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

/** Why there is no program of a name, or it cannot be executed; a module that was given as text is the likeliest mistake. */
export function noProgram(program: string, found: string): string {
  const isModule = /^(?:file|https?|jsr|npm|data|blob):|\.[cm]?[jt]sx?$/.test(program);
  return isModule ? `${found}; a module is given as a URL: new URL("./worker.ts", import.meta.url)` : found;
}

/** What {@linkcode noProgram} says of one that is there. */
export const NOT_EXECUTABLE = "it cannot be executed; see who may, and whether it is a program";

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
