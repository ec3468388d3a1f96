// Machines that have other things to do.

/** Both processes on one processor; or as many busy loops as there are processors, each a program of its own. */
export type Load = "one processor for both" | "beside busy loops";

/** A loop that looks now and then whether its parent is still there. */
const LOOP = "while kill -0 $PPID; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done";

/** Says why a load cannot be made, if so. */
export async function missingFor(load: Load): Promise<string | undefined> {
  if (load !== "one processor for both") return undefined;
  try {
    await new Deno.Command("taskset", { args: ["--version"], stdout: "null" }).output();
    return undefined;
  } catch {
    return "taskset is not there";
  }
}

/** The command that runs a command under a load. */
export function under(load: Load | undefined, command: string[]): string[] {
  return load === "one processor for both" ? ["taskset", "-c", "0", ...command] : command;
}

/** Loads the machine until it is disposed of. */
export function begin(load: Load | undefined): AsyncDisposable {
  const count = load === "beside busy loops" ? navigator.hardwareConcurrency : 0;
  const loops = Array.from(
    { length: count },
    () =>
      new Deno.Command("sh", { args: ["-c", LOOP], stdin: "null", stdout: "null", stderr: "null" })
        .spawn(),
  );
  return {
    async [Symbol.asyncDispose]() {
      for (const loop of loops) loop.kill("SIGKILL");
      for (const loop of loops) await loop.status;
    },
  };
}
