// Pages that claim something name the tests that hold it: they exist.
import { assert, assertEquals } from "@std/assert";
import { Page, pageTest, read, userPages } from "../support/pages.ts";

const isTest = (path: string) => /^tests\/[\w./]+_test\.ts$/.test(path);

pageTest("Every guarantee names a test, by its file and its name", () => {
  const page = new Page("docs/guarantees.md");
  const claims = page.text.split(/^- /m).slice(1);
  assert(claims.length > 20, `${claims.length} claims found`);
  const missing: string[] = [];
  for (const claim of claims) {
    const named = [...claim.matchAll(/^ {2}`([^`]+)`(?:: "([^"]+)")?\\?$/gm)];
    if (named.length === 0) missing.push(`No test for: ${claim.split("\n")[0]}`);
    for (const [, file, name] of named) {
      assert(isTest(file!), `${page.path} names "${file}", which is no test`);
      const wanted = name?.replaceAll(/\s+/g, " ") ?? "";
      if (!read(file!).includes(wanted)) missing.push(`${file} has no test "${wanted}"`);
    }
  }
  assertEquals(missing, []);
});

pageTest("Every line of the threat model names a test, or says that who does it must be trusted", () => {
  const page = new Page("docs/threat-model.md");
  const claims = page.text.split("## What does not hold")[0]!.split(/^- /m).slice(1).map((text) =>
    text.split("\n\n")[0]!
  );
  assert(claims.length > 35, `${claims.length} claims found`);
  for (const claim of claims) {
    const last = claim.trim().split("\n").at(-1)!.trim();
    const isHeld = last.split(", ").every((file) => isTest(file.replaceAll("`", "")));
    assert(isHeld || last === "No test: it must be trusted.", `${page.path} has no test for "${claim.slice(0, 60)}…"`);
  }
});

pageTest("Every test that a page names exists", () => {
  const missing: string[] = [];
  let count = 0;
  for (const page of userPages()) {
    for (const file of page.spans.filter(isTest)) {
      count++;
      try {
        read(file);
      } catch {
        missing.push(`${page.path} names ${file}`);
      }
    }
  }
  assertEquals(missing, []);
  assert(count > 60, `${count} tests named`);
});

pageTest("The page of errors has every code that there is, in the same order, and no other", () => {
  const codes = [...read("base/error.ts").matchAll(/^ {2}\| "(\w+)"/gm)].map((match) => match[1]!);
  const page = new Page("docs/errors.md");
  assertEquals([...page.prose.matchAll(/^## (\w+)$/gm)].map((match) => match[1]!), codes);
  const sections = page.prose.split(/^## /m).slice(1);
  for (const section of sections) {
    assert(section.includes("**To do**:"), `${page.path} does not say what to do about ${section.split("\n")[0]}`);
  }
});
