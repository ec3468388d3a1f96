/** The part of `@std/cli/parse-args` that this repository uses; see `parse_args.ts` beside it. */
export interface ParseOptions {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: boolean | string | readonly string[];
  string?: string | readonly string[];
  collect?: string | readonly string[];
  negatable?: string | readonly string[];
  default?: Record<string, unknown>;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export declare function parseArgs(
  args: readonly string[],
  options?: ParseOptions,
  // deno-lint-ignore no-explicit-any
): { _: (string | number)[] } & Record<string, any>;
