// How far the run is: a bar on a terminal, a line for every tenth anywhere else. On the standard error, as the results
// go to the standard output.

const begin = performance.now();
let tenths = -1;

/** Shows it. */
export function showProgress(done: number, total: number, what: string): void {
  const seconds = Math.round((performance.now() - begin) / 1000);
  const left = done === 0 ? "" : `, ${Math.round(seconds / done * (total - done))} s left`;
  if (Deno.stderr.isTerminal()) {
    const width = 30, full = Math.round(done / total * width);
    print(`\r\x1b[K${"█".repeat(full)}${"░".repeat(width - full)} ${done}/${total}${left}  ${what}`);
  } else if (Math.floor(done / total * 10) > tenths) {
    tenths = Math.floor(done / total * 10);
    print(`${done}/${total} runs, ${seconds} s${left}\n`);
  }
}

/** Takes the bar away. */
export function endProgress(): void {
  if (Deno.stderr.isTerminal()) print("\r\x1b[K");
}

function print(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
