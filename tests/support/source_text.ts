// Source files as text: without comments and strings, and what they import. No parser: it knows as much of the language as
// the formatted files of this repository use.

/** A token that can hold what looks like another: comments, strings, templates and regular expressions. */
const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[(,=:[!&|?{};]\s*|\breturn )\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/g;

/** The code without its comments. */
export function codeOf(text: string): string {
  return text.replace(TOKEN, (token) => /^\/[/*]/.test(token) ? " " : token);
}

/** Code without what its strings, templates and regular expressions say. */
export function withoutStrings(code: string): string {
  return code.replace(TOKEN, (token) => token.startsWith("`") ? insertsOf(token) : '""');
}

/** The code within a template. */
function insertsOf(template: string): string {
  return [...template.matchAll(/\$\{([^}]*)\}/g)].map((match) => `(${match[1]})`).join(" ");
}

/** The files of the repository that one imports, types included, by their paths. */
export function importsOf(path: string, text: string): string[] {
  const folder = new URL(path, "file:///");
  return [...codeOf(text).matchAll(/\b(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+\.ts)"/g)]
    .map((match) => new URL(match[1]!, folder).pathname.slice(1));
}
