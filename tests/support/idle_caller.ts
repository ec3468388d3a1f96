// Calls, reads the beginning of a stream, gives a call up, and has nothing left to do then: so its process ends.
import { remote, spawn } from "../../mod.ts";
import { type api, CALLEE } from "./callee.ts";

const child = await spawn(CALLEE, { args: ["callee"], permissions: ["-A"], stdin: "null", stdout: "null" });
const caller = remote<typeof api>(child);
if (await caller.add(1, 2) !== 3) throw new Error("wrong");
await caller.ticks()[Symbol.asyncIterator]().next();
await caller.with({ timeout: 5 }).wait().catch(() => {});
