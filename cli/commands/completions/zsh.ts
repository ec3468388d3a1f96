// The script for zsh.
import type { Command } from "../../program/command.ts";
import { quoted, SHELLS, type Words, wordsOf } from "./words.ts";

/** The script. */
export function zshScript(commands: readonly Command[]): string {
  const words = wordsOf(commands);
  return `#compdef isthmus
# Completions of isthmus for zsh.
_isthmus_names() {
  local -a names
  names=("\${(@f)$("$program" names 2>/dev/null)}")
  compadd -a names
  _files
}
_isthmus() {
  local -a commands=(
${words.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join("\n")}
    'help:Show help, also of one command'
  )
  if ((CURRENT == 2)); then
    _describe command commands
    _arguments '--help[Show help]' '--version[Show the version]'
    return
  fi
  local program="\${words[1]}" command="\${words[2]}"
  case "$command" in
${words.map(commandCase).join("\n")}
    help) _describe command commands ;;
  esac
}
if [[ "\${funcstack[1]}" == _isthmus ]]; then _isthmus "$@"; else compdef _isthmus isthmus; fi
`;
}

function commandCase({ name, flags, operands }: Words): string {
  const action = { names: ":_isthmus_names", files: ":_isthmus_names", shells: `:(${SHELLS.join(" ")})`, none: "" };
  const specs = flags.map(({ text, help }) => quoted(`${text}[${help.replace(/[[\]:]/g, "\\$&")}]${valueOf(text)}`));
  // The first of \`words\` is the program, and the command is not an operand.
  const operand = operands === "none" ? [] : [quoted(`*:${operands}${action[operands]}`)];
  return `    ${name}) shift words; ((CURRENT--)); _arguments ${[...specs, ...operand].join(" ")} ;;`;
}

function valueOf(flag: string): string {
  return flag.endsWith("=") ? ":value:" : "";
}
