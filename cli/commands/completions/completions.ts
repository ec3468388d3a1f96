// `isthmus completions`: what a shell needs to complete commands, flags and names.
import { type Command, UsageError } from "../../program/command.ts";
import { didYouMean } from "../../program/nearest.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { SHELLS } from "./words.ts";
import { zshScript } from "./zsh.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/**
 * The command.
 *
 * @param commands All commands, itself included: asked for when it runs.
 */
export function completionsOf(commands: () => readonly Command[]): Command {
  return {
    name: "completions",
    summary: "Print a script that completes commands, flags and names in bash, zsh or fish",
    details:
      "The names of cells, topics, locks and channels are those that are there when the key is pressed: the script " +
      "runs this program for them.",
    operands: ["SHELL"],
    examples: [
      ['eval "$(isthmus completions bash)"', "in ~/.bashrc"],
      ['eval "$(isthmus completions zsh)"', "in ~/.zshrc, after compinit"],
      ["isthmus completions fish > ~/.config/fish/completions/isthmus.fish", "once"],
    ],
    run({ operands, out }): number {
      const shell = operands[0]!;
      if (!Object.hasOwn(SCRIPTS, shell)) {
        throw new UsageError(
          `There is no script for "${shell}", but for ${SHELLS.join(", ")}${didYouMean(shell, SHELLS)}`,
        );
      }
      out.write(SCRIPTS[shell as keyof typeof SCRIPTS](commands().filter((command) => !command.hidden)));
      return 0;
    },
  };
}
