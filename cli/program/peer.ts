// The second process of a command that tries something between two: this same program, called otherwise.
import { IpcError } from "../../base/error.ts";

/**
 * Starts this program once more.
 *
 * @param call The command and its operands.
 * @throws {IpcError} `Permission` without `--allow-run`.
 */
export function startPeer(call: readonly string[]): Deno.ChildProcess {
  // A compiled program has no `run`: it is the program itself that takes the arguments.
  const args = Deno.build.standalone
    ? [...call]
    : ["run", "--no-prompt", "--allow-ffi", new URL("../mod.ts", import.meta.url).href, ...call];
  try {
    return new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw cause;
    throw new IpcError("Permission", "Cannot start a second process: run Deno with --allow-run", { cause });
  }
}
