// The script for bash.
import type { Command } from "../../program/command.ts";
import { PROGRAM_FLAGS, SHELLS, wordsOf } from "./words.ts";

/** The script. */
export function bashScript(commands: readonly Command[]): string {
  const words = wordsOf(commands);
  const flags = words.map(({ name, flags }) => `    ${name}) words="${flags.map(({ text }) => text).join(" ")}" ;;`);
  const named = words.filter(({ operands }) => operands === "names" || operands === "files").map(({ name }) => name);
  // Names are not given to `compgen -W`, which would run what is in them: anybody may have chosen them.
  return `# Completions of isthmus for bash.
_isthmus() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" words="" name
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words="${[...words.map(({ name }) => name), "help", ...PROGRAM_FLAGS].join(" ")}"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  if [[ $current == -* ]]; then
    case "$command" in
${flags.join("\n")}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return
  fi
  case "$command" in
    ${named.join("|")})
      compopt -o filenames 2>/dev/null
      while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$current")
      while IFS= read -r name; do
        [[ $name == "$current"* ]] && COMPREPLY+=("$name")
      done < <("\${COMP_WORDS[0]}" names 2>/dev/null)
      ;;
    completions) COMPREPLY=($(compgen -W "${SHELLS.join(" ")}" -- "$current")) ;;
    help) COMPREPLY=($(compgen -W "${words.map(({ name }) => name).join(" ")}" -- "$current")) ;;
  esac
}
complete -F _isthmus isthmus
`;
}
