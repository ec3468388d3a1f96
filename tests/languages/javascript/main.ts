// Runs one scenario, or plays one part of it: `main.js NAME FOLDER PREFIX …`. Says "ok" once the scenario is done.
import process from "node:process";
import * as alone from "./alone.ts";
import * as processes from "./processes.ts";
import * as workers from "./workers.ts";

const name = process.argv[2] ?? "";
const part = processes.roles[name] ?? workers.duties[name];
if (part !== undefined) {
  await part();
} else {
  const scenarios: Record<string, unknown> = { ...alone, ...processes, ...workers };
  await (scenarios[name] as () => Promise<void>)();
  process.stdout.write("ok\n");
}
