// The runtime that this program runs in.
import { deno } from "./deno.ts";
import type { Runtime } from "./runtime.ts";

/** What the library needs of the runtime, by the one that is there. */
export const runtime: Runtime = deno;
