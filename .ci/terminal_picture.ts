// Draws what a command shows on a terminal as an SVG, from the terminal's own output: `tmux` is the terminal.
//
//   deno run --allow-all .ci/terminal_picture.ts
//
// writes docs/top-80.svg and docs/top-200.svg: `isthmus top` beside a program that keeps some channels busy.
import { IpcArc, IpcPublisher, IpcReceiver, IpcSender, locks } from "../mod.ts";

const ROOT = new URL("..", import.meta.url).pathname;
/** A server of its own for each picture: one that ends is not there at once for the next. */
let socket = "";

/** Pixels of one character. */
const WIDTH = 8.4, HEIGHT = 18, FONT = 14;

/** The colours of the terminal, by their numbers in its escapes; 39 is that of plain text, 0 the background. */
const LIGHT: Readonly<Record<number, string>> = {
  0: "#f6f8fa",
  31: "#cf222e",
  32: "#116329",
  33: "#7d4e00",
  36: "#1b7c83",
  39: "#24292f",
};
const DARK: typeof LIGHT = { 0: "#22272e", 31: "#e5534b", 32: "#57ab5a", 33: "#c69026", 36: "#39c5cf", 39: "#cdd9e5" };

function rules(colors: typeof LIGHT): string {
  return Object.entries(colors).map(([code, color]) => `.c${code} { fill: ${color} }`).join(" ");
}

interface Style {
  color: number;
  bold: boolean;
  dim: boolean;
}

const PLAIN: Style = { color: 39, bold: false, dim: false };

async function tmux(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("tmux", { args: ["-L", socket, ...args] }).output();
  if (!success) throw new Error(`tmux ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** What a terminal of so many columns shows of a command once the text is there. */
async function capture(command: string, columns: number, rows: number, looks: number): Promise<string> {
  socket = `isthmus-picture-${Deno.pid}-${columns}`;
  await tmux("-f", "/dev/null", "new-session", "-d", "-x", String(columns), "-y", String(rows), command);
  try {
    let pages = 0, last = "";
    while (pages < looks) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const page = await tmux("capture-pane", "-e", "-p");
      if (page !== last && page.includes("isthmus top")) pages++;
      last = page;
    }
    return last;
  } finally {
    await tmux("kill-server");
  }
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[char]!);
}

/** Text with the terminal's escapes, as an SVG. */
function svgOf(text: string, columns: number, title: string): string {
  const lines = text.replace(/\n+$/, "").split("\n");
  const width = Math.ceil(columns * WIDTH + 32), height = lines.length * HEIGHT + 32;
  let style = { ...PLAIN };
  const drawn = lines.map((line, row) => {
    let column = 0, spans = "";
    // deno-lint-ignore no-control-regex
    for (const [, codes, chars] of line.matchAll(/\x1b\[([\d;]*)m|([^\x1b]+)/g)) {
      if (chars === undefined) {
        for (const code of (codes || "0").split(";").map(Number)) style = styled(style, code);
        continue;
      }
      if (chars.trim() !== "") {
        const look = `class="c${style.color}"${style.bold ? ' font-weight="bold"' : ""}${
          style.dim ? ' opacity="0.6"' : ""
        }`;
        const words = chars.trim(), indent = chars.length - chars.trimStart().length;
        const x = (16 + (column + indent) * WIDTH).toFixed(1), length = (words.length * WIDTH).toFixed(1);
        spans += `<tspan x="${x}" textLength="${length}" ${look}>${escaped(words)}</tspan>`;
      }
      column += chars.length;
    }
    return `<text y="${16 + row * HEIGHT + FONT}" xml:space="preserve">${spans}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `role="img" aria-label="${title}">`,
    `<title>${title}</title>`,
    `<style>${rules(LIGHT)} @media (prefers-color-scheme: dark) { ${rules(DARK)} }</style>`,
    `<rect width="${width}" height="${height}" rx="8" class="c0"/>`,
    `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}">`,
    ...drawn,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function styled(style: Style, code: number): Style {
  if (code === 0) return { ...PLAIN };
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  return code in LIGHT ? { ...style, color: code } : style;
}

/** Keeps some channels, a topic, cells and a lock busy until the signal. */
async function keepBusy(folder: string, signal: AbortSignal): Promise<void> {
  using jobs = IpcReceiver.create<unknown>(`${folder}/jobs`), job = IpcSender.open<unknown>(`${folder}/jobs`);
  using lines = IpcReceiver.create<unknown>(`${folder}/log`, { capacity: 1 << 16 });
  using line = IpcSender.open<unknown>(`${folder}/log`);
  using idle = IpcReceiver.create<unknown>(`${folder}/commands`);
  using progress = IpcArc.create("progress", { done: 0 });
  using prices = IpcPublisher.open<unknown>("prices");
  const wait = idle.recv({ signal }).catch(() => {});
  const lock = locks.request("deploy", () => new Promise<void>((end) => signal.addEventListener("abort", () => end())));
  for (let step = 0; !signal.aborted; step++) {
    jobs.recvMany();
    const count = Math.round(200 * (1.1 + Math.sin(step / 9)));
    for (let i = 0; i < count; i++) job.sendSync({ job: i, path: "/srv/pictures/4711.jpg" });
    if (step % 2 === 0) line.trySend(`step ${step}`);
    if (step % 900 === 899) lines.recvMany();
    for (let i = 0; i < step % 7; i++) prices.publish({ symbol: "DENO", price: 12.5 + i });
    progress.updateSync(({ done }) => ({ done: done + count }));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.allSettled([wait, lock]);
}

const folder = Deno.makeTempDirSync({ dir: "/run", prefix: "shop-" });
const stop = new AbortController();
const busy = keepBusy(folder, stop.signal);
try {
  const command = `${Deno.execPath()} run --quiet --allow-ffi --allow-run ${ROOT}cli/mod.ts top --interval=200`;
  for (const columns of [80, 200]) {
    const text = await capture(command, columns, 12, 60);
    Deno.writeTextFileSync(`${ROOT}docs/top-${columns}.svg`, svgOf(text, columns, `isthmus top, ${columns} columns`));
  }
} finally {
  stop.abort();
  await busy;
  Deno.removeSync(folder, { recursive: true });
}
