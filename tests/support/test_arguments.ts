// Numbers that a test is told on the command line, behind `--`: `deno test … -- --steps=1000000`.

/** The number of `--name=N`, or what it is by default. */
export function numberArgument(name: string, byDefault: number): number {
  const found = Deno.args.find((argument) => argument.startsWith(`--${name}=`));
  return found === undefined ? byDefault : Number(found.slice(name.length + 3));
}
