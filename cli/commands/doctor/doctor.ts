// `isthmus doctor`: whether this machine and these permissions are enough, and what to do if not.
import config from "../../../deno.json" with { type: "json" };
import type { Command } from "../../program/command.ts";
import { CHECKS, type Finding } from "./checks.ts";
import type { Color, Output } from "../../format/output.ts";

const COLOR_OF: Record<Finding["status"], Color> = { ok: "green", warn: "yellow", fail: "red" };

/** The command. */
export const doctor: Command = {
  name: "doctor",
  summary: "Check that this machine has what channels and shared cells need",
  details: "Exits with 1 if a check fails. With --allow-run it starts a second process, to try memory between the two.",
  flags: { json: { help: "Print one JSON document" } },
  examples: [
    ["isthmus doctor", "look at everything"],
    ["isthmus doctor --json", "the same for programs"],
  ],
  async run({ flags, out }): Promise<number> {
    const findings: ({ name: string } & Finding)[] = [];
    for (const { name, needsLibrary, look } of CHECKS) {
      // Without libc most checks would only repeat why.
      if (needsLibrary && findings.some(({ status }) => status === "fail")) break;
      const finding = { name, ...await attempt(look) };
      findings.push(finding);
      if (!flags["json"]) show(finding, out);
    }
    const failed = findings.some(({ status }) => status === "fail");
    if (flags["json"]) out.json({ version: config.version, ok: !failed, checks: findings });
    return failed ? 1 : 0;
  },
};

async function attempt(look: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return { status: "fail", found: error instanceof Error ? error.message : String(error) };
  }
}

function show({ name, status, found, advice }: { name: string } & Finding, out: Output): void {
  out.line(`${out.paint(COLOR_OF[status], status.padEnd(4))}  ${name.padEnd(NAME_WIDTH)}  ${found}`);
  if (advice !== undefined) out.line(`${" ".repeat(NAME_WIDTH + 8)}${advice}`);
}

const NAME_WIDTH = Math.max(...CHECKS.map(({ name }) => name.length));
