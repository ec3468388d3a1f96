// The runtime that this program runs in.
import { bunRuntime } from "./bun.ts";
import { denoRuntime } from "./deno.ts";
import { nodeRuntime } from "./node.ts";
import type { Runtime } from "./runtime.ts";

function found(): Runtime {
  if ("Deno" in globalThis) return denoRuntime();
  return "Bun" in globalThis ? bunRuntime() : nodeRuntime();
}

/** What the library needs of the runtime, by the one that is there. Its calls into C are looked for at first use. */
export const runtime: Runtime = found();
