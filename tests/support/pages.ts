// The pages for readers, as texts: what tests of the documentation look at.

/** The folder of the repository. */
export const ROOT = new URL("../../", import.meta.url);

/** Whether this process may read the repository. */
export const mayRead = Deno.permissions.querySync({ name: "read", path: ROOT }).state === "granted";

/** A file of the repository. */
export function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Whether a path of the repository exists. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A test that looks at files of the repository only; ignored where it may not. */
export function pageTest(name: string, body: () => void): void {
  Deno.test({ name, ignore: !mayRead, fn: body });
}

/** A block of code. */
export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** What stands behind the language, such as "ignore". */
  readonly flags: string;
  /** The file that a comment above names as the one that this is from. */
  readonly from: string | undefined;
  readonly text: string;
}

/** One page in Markdown. */
export class Page {
  /** From the folder of the repository. */
  readonly path: string;
  readonly text: string;

  constructor(path: string) {
    this.path = path;
    this.text = read(path);
  }

  /** The text without blocks of code. */
  get prose(): string {
    return this.text.replaceAll(/^( *)```.*?^\1```$/gms, "");
  }

  /** What the prose has in backquotes. */
  get spans(): string[] {
    return [...this.prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
  }

  /** Its blocks of code. */
  get blocks(): Block[] {
    const found = this.text.matchAll(/(?:<!-- from (\S+) -->\s*)?^```(\w*)([^\n]*)\n(.*?)^```$/gms);
    return [...found].map((match) => ({
      page: this.path,
      line: this.text.slice(0, match.index).split("\n").length,
      from: match[1],
      language: match[2]!,
      flags: match[3]!.trim(),
      text: match[4]!,
    }));
  }

  /** Where its links and pictures lead, but for those to the web. */
  get links(): string[] {
    return [...this.prose.replaceAll(/`[^`\n]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1]!).filter((to) => !/^(https?|mailto):/.test(to));
  }

  /** What its headings are called in links. */
  get anchors(): Set<string> {
    return new Set([...this.prose.matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1]!)));
  }

  /** The path that a link of this page means, and the heading there. */
  resolve(link: string): { path: string; heading: string | undefined } {
    const [path, heading] = link.split("#") as [string, string | undefined];
    if (path === "") return { path: this.path, heading };
    const url = new URL(path, new URL(this.path, "file:///"));
    return { path: decodeURIComponent(url.pathname.slice(1)), heading };
  }

  /** The programs that begin with a comment that is their name. */
  programs(): Map<string, string> {
    const found = this.blocks.map(({ text }) => [/^\/\/ (\w+\.ts)\n/.exec(text)?.[1], text] as const);
    return new Map(found.filter((entry): entry is [string, string] => entry[0] !== undefined));
  }

  /** Every command of Deno or Isthmus, in a block for the shell or in the prose, as words. */
  commands(): string[][] {
    const lines = this.blocks.filter(({ language }) => language === "sh").flatMap(({ text }) => text.split("\n"))
      .flatMap((line) => line.replace(/(^|\s)#.*$/, "").split("| "));
    return [...lines, ...this.spans].map((text) => text.replace(/^npx -y /, "").trim().split(/\s+/))
      .filter(([program]) => program === "deno" || program === "isthmus");
  }
}

/** How GitHub and JSR name a heading in links. */
function anchor(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  return text.trim().toLowerCase().replaceAll(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
}

/** All pages in a folder, and in those within it. */
function pagesIn(folder: string): Page[] {
  return [...Deno.readDirSync(new URL(folder || ".", ROOT))].flatMap(({ isDirectory, name }) => {
    if (isDirectory) return /^(\.git|node_modules|target)$/.test(name) ? [] : pagesIn(`${folder}${name}/`);
    return name.endsWith(".md") ? [new Page(`${folder}${name}`)] : [];
  }).sort((a, b) => a.path < b.path ? -1 : 1);
}

/** The pages for those who use the package: the first one, and `docs/`. */
export function userPages(): Page[] {
  return mayRead ? [new Page("README.md"), ...pagesIn("docs/")] : [];
}

/** All pages for people. */
export function allPages(): Page[] {
  return mayRead ? pagesIn("") : [];
}
