// What the pages lead to is there: links, headings, pictures and files that they name.
import { assert, assertEquals } from "@std/assert";
import { allPages, exists, Page, pageTest, read, userPages } from "../support/pages.ts";

/** Files that a page names as examples of the reader's own. */
const READERS_OWN = new Set(["main.ts", "main_test.ts", "deno.json", "worker.ts"]);

pageTest("Every link and picture of every page leads to something, and to a heading that is there", () => {
  const pages = allPages(), anchors = new Map(pages.map((page) => [page.path, page.anchors]));
  const broken: string[] = [];
  let checked = 0;
  for (const page of pages) {
    for (const link of page.links) {
      checked++;
      const { path, heading } = page.resolve(link);
      if (!exists(path)) broken.push(`${page.path} links to "${link}": there is no "${path}"`);
      else if (heading !== undefined && path.endsWith(".md") && !anchors.get(path)!.has(heading)) {
        broken.push(`${page.path} links to "${link}": "${path}" has no such heading`);
      }
    }
  }
  assertEquals(broken, []);
  assert(checked > 60, `${checked} links found`);
});

pageTest("No page has two headings of the same name, as a link could only mean the first", () => {
  for (const page of userPages()) {
    const count = [...page.prose.matchAll(/^#+ /gm)].length;
    assertEquals(page.anchors.size, count, `${page.path} has two headings of one name`);
  }
});

pageTest("Every page of docs/ can be reached from the README by links", () => {
  const found = new Set<string>(["README.md"]);
  for (const path of found) {
    const page = new Page(path);
    for (const { path: to } of page.links.map((link) => page.resolve(link))) {
      if (to.endsWith(".md") && exists(to)) found.add(to);
    }
  }
  assertEquals(userPages().map(({ path }) => path).filter((path) => !found.has(path)), []);
});

pageTest("Every file that a page names exists", () => {
  const missing: string[] = [];
  let checked = 0;
  for (const page of userPages()) {
    const written = page.programs();
    const files = [...page.spans, ...page.commands().flat()].filter((word) =>
      /^[\w.-]+(\/[\w.-]+)*\.(ts|c|py|md|json|sh|pml)$/.test(word)
    );
    for (const file of new Set(files)) {
      checked++;
      if (READERS_OWN.has(file) || written.has(file) || exists(file) || exists(`tests/${file}`)) continue;
      // A name alone, beside the path of a file in the same folder.
      if (page.spans.some((span) => span.includes("/") && exists(`${span.replace(/[^/]*$/, "")}${file}`))) continue;
      missing.push(`${page.path} names "${file}"`);
    }
  }
  assertEquals(missing, []);
  assert(checked > 100, `${checked} files found`);
});

pageTest("Every picture of the pages is one that can be read in the dark, and says what it shows", () => {
  for (const page of userPages()) {
    for (const [, alt, path] of page.prose.matchAll(/!\[([^\]]*)\]\(([^)]+\.svg)\)/g)) {
      assert(alt!.length > 10, `${page.path} does not say what "${path}" shows`);
      const svg = read(page.resolve(path!).path);
      assert(svg.includes("prefers-color-scheme: dark"), `"${path}" has no colours for the dark`);
      assert(/<title\b/.test(svg), `"${path}" has no title`);
    }
  }
});
