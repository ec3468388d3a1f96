// The script for fish.
import type { Command } from "../../program/command.ts";
import { SHELLS, wordsOf } from "./words.ts";

/** The script. */
export function fishScript(commands: readonly Command[]): string {
  const lines = ["# Completions of isthmus for fish.", "complete -c isthmus -f"];
  const first = "__fish_use_subcommand";
  for (const { name, summary, flags, operands } of wordsOf(commands)) {
    const inside = quotedForFish(`__fish_seen_subcommand_from ${name}`);
    lines.push(`complete -c isthmus -n ${first} -a ${name} -d ${quotedForFish(summary)}`);
    for (const { text, help } of flags) {
      const required = text.endsWith("=") ? " -x" : "";
      const long = text.replace(/^--|=$/g, "");
      lines.push(`complete -c isthmus -n ${inside} -l ${long}${required} -d ${quotedForFish(help)}`);
    }
    if (operands === "names" || operands === "files") {
      lines.push(`complete -c isthmus -n ${inside} -F -a '(isthmus names 2>/dev/null)'`);
    }
    if (operands === "shells") lines.push(`complete -c isthmus -n ${inside} -a '${SHELLS.join(" ")}'`);
  }
  lines.push(`complete -c isthmus -n ${first} -a help -d 'Show help, also of one command'`);
  lines.push(`complete -c isthmus -n ${first} -l help -d 'Show help'`);
  lines.push(`complete -c isthmus -n ${first} -l version -d 'Show the version'`);
  return `${lines.join("\n")}\n`;
}

/** Within single quotes fish knows two escapes. */
function quotedForFish(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
