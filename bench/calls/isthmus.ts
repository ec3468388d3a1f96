// This package: expose() in a process that spawn() starts, remote() here.
import { expose, parent, remote, spawn } from "../../mod.ts";
import type { Workload } from "../harness/workload.ts";
import { measure } from "./measure.mjs";

const api = { add: (a: number, b: number) => a + b };

if (Deno.args[0] === "callee") await expose(parent(), api);
else {
  const workload: Workload = JSON.parse(Deno.args[0]!);
  const start = () => spawn(new URL(import.meta.url), { args: ["callee"], stdout: "null" });
  if (workload.name!.startsWith("start")) {
    await measure(workload, [], undefined, async () => {
      const child = await start();
      const sum = await remote<typeof api>(child).add(1, 2);
      return { sum, end: () => child[Symbol.asyncDispose]() };
    });
  } else {
    await using child = await start();
    const { add } = remote<typeof api>(child);
    await measure(workload, [child.pid], add, undefined);
  }
}
