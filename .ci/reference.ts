// What the reference owes its reader, looked at symbol by symbol and member by member:
//
// - an example on everything that is exported;
// - a description of every member, every parameter and everything that is returned;
// - the unit of every number;
// - what `undefined` and `false` mean where they are returned;
// - the code of every IpcError that is thrown, and none that does not exist.
//
//   deno run --allow-run --allow-read .ci/reference.ts
//
// `deno doc --lint` asks for less; whether the examples run is for `deno test --doc` to say.

interface Tag {
  readonly kind: string;
  readonly name?: string;
  readonly doc?: string;
  readonly tsType?: Type;
}

interface Doc {
  readonly doc?: string;
  readonly tags?: readonly Tag[];
}

interface Type {
  readonly repr?: string;
  readonly kind: string;
  readonly value?: unknown;
}

interface Parameter {
  readonly kind: string;
  readonly name?: string;
  readonly tsType?: Type;
  readonly left?: Parameter;
  readonly arg?: Parameter;
}

interface Signature {
  readonly params?: readonly Parameter[];
  readonly returnType?: Type;
}

interface Member extends Signature {
  readonly name: string;
  readonly kind?: string;
  readonly jsDoc?: Doc;
  readonly accessibility?: string;
  readonly hasBody?: boolean;
  readonly tsType?: Type;
  readonly functionDef?: Signature & { readonly hasBody?: boolean };
}

interface Definition extends Signature {
  readonly constructors?: readonly Member[];
  readonly methods?: readonly Member[];
  readonly properties?: readonly Member[];
}

interface Symbol_ {
  readonly name: string;
  readonly declarations: readonly {
    readonly declarationKind: string;
    readonly kind: string;
    readonly jsDoc?: Doc;
    readonly location: { readonly filename: string };
    readonly def?: Definition;
  }[];
}

/** Words for what a number counts or measures, and "number" for one that stands for itself. */
const UNIT = new RegExp(
  "\\b(milliseconds?|microseconds?|bytes?|messages?|descriptors?|clients?|elements?|holders?|members?|references?|bits?|" +
    "numbers?|id|index|senders?|receivers?|values?|processes|exit code)\\b",
  "i",
);

const problems: string[] = [];
let looked = 0;

function text(doc: Doc | undefined): string {
  return doc?.doc?.trim() ?? "";
}

function tags(doc: Doc | undefined, kind: string): readonly Tag[] {
  return doc?.tags?.filter((tag) => tag.kind === kind) ?? [];
}

/** A type as far as it is looked at here: the names in it, with what a promise brings. */
function names(type: Type | undefined): string[] {
  if (type === undefined) return [];
  if (type.kind === "union") return (type.value as Type[]).flatMap(names);
  if (type.repr === "Promise") return ((type.value as { typeParams?: Type[] }).typeParams ?? []).flatMap(names);
  return [type.kind === "array" ? "array" : type.repr ?? type.kind];
}

const isNumeric = (type: Type | undefined) => names(type).some((name) => name === "number" || name === "bigint");

function parameter(of: Parameter): Parameter {
  return of.left === undefined ? of.arg ?? of : parameter(of.left);
}

/** Checks something that can be called. */
function checkCall(
  where: string,
  doc: Doc | undefined,
  { params = [], returnType }: Signature,
  isConstructor: boolean,
) {
  const described = new Map(tags(doc, "param").map((tag) => [tag.name, tag.doc?.trim() ?? ""]));
  for (const given of params.map(parameter)) {
    const said = described.get(given.name);
    if (said === undefined || said === "") problems.push(`${where}: no @param for ${given.name}`);
    else if (isNumeric(given.tsType) && !UNIT.test(said)) {
      problems.push(`${where}: @param ${given.name} is a number, and its description names no unit: "${said}"`);
    }
  }
  const waits = params.map(parameter).some(({ tsType }) =>
    names(tsType).some((name) => /^(Sync)?WaitOptions$/.test(name))
  );
  const thrown = tags(doc, "throws").map((tag) => tag.doc ?? "").join(" ");
  if (waits && !/`Timeout`|\bAs \{@linkcode/.test(thrown)) {
    problems.push(`${where}: waits, and no @throws names \`Timeout\``);
  }
  const returned = names(returnType).filter((name) => name !== "void" && name !== "never");
  if (isConstructor || returned.length === 0) return;
  const said = tags(doc, "return").map((tag) => tag.doc ?? "").join(" ");
  if (said.trim() === "") return void problems.push(`${where}: no @returns`);
  if (returned.includes("undefined") && !said.includes("`undefined`")) {
    problems.push(`${where}: @returns does not say what \`undefined\` means: "${said.trim()}"`);
  }
  if (returned.includes("boolean") && !/`(false|true)`|\bwhether\b/i.test(said)) {
    problems.push(`${where}: @returns does not say what \`false\` means: "${said.trim()}"`);
  }
  if (isNumeric(returnType) && !UNIT.test(said)) {
    problems.push(`${where}: @returns is a number, and its description names no unit: "${said.trim()}"`);
  }
}

/** Checks the codes in what is thrown. */
function checkThrows(where: string, doc: Doc | undefined): void {
  for (const { tsType, doc: said = "" } of tags(doc, "throws")) {
    if (tsType?.repr !== "IpcError") continue;
    const words = [...said.matchAll(/`([A-Z]\w+)`/g)].map((match) => match[1]!);
    if (!words.some((word) => codes.has(word)) && !/\bAs \{@linkcode/.test(said)) {
      problems.push(`${where}: @throws {IpcError} names no code: "${said.trim()}"`);
    }
    for (const word of words.filter((word) => !codes.has(word) && !exported.has(word) && !/^E[A-Z]+$/.test(word))) {
      problems.push(`${where}: @throws names "${word}", which is neither a code nor exported`);
    }
  }
}

function isShown(member: Member): boolean {
  return member.accessibility !== "private" && member.accessibility !== "protected" &&
    tags(member.jsDoc, "ignore").length === 0;
}

function checkMembers(where: string, { constructors = [], methods = [], properties = [] }: Definition): void {
  for (const member of constructors.filter(isShown)) {
    if (constructors.length > 1 && member.hasBody) continue; // behind overloads, and not shown
    looked++;
    if (text(member.jsDoc) === "") problems.push(`${where}: the constructor has no description`);
    checkCall(`${where}, constructor`, member.jsDoc, member, true);
    checkThrows(`${where}, constructor`, member.jsDoc);
  }
  for (const member of methods.filter(isShown)) {
    const isOverloaded = methods.some((other) => other.name === member.name && other.functionDef?.hasBody !== true);
    if (member.kind === "method" && isOverloaded && member.functionDef?.hasBody) continue; // behind overloads, not shown
    looked++;
    const name = `${where}.${member.name}`;
    const hasGetter = methods.some(({ kind, name }) => kind === "getter" && name === member.name);
    if (member.kind === "setter" && hasGetter) continue; // one property, described once
    if (text(member.jsDoc) === "") problems.push(`${name}: no description`);
    checkThrows(name, member.jsDoc);
    const isAccessor = member.kind === "getter" || member.kind === "setter";
    if (isAccessor && isNumeric(member.functionDef?.returnType) && !UNIT.test(text(member.jsDoc))) {
      problems.push(`${name}: is a number, and its description names no unit`);
    }
    // What every class has says what it does in one sentence.
    if (isAccessor || member.name.startsWith("[")) continue;
    checkCall(name, member.jsDoc, member.functionDef ?? member, false);
  }
  for (const member of properties.filter(isShown)) {
    looked++;
    const name = `${where}.${member.name}`;
    if (text(member.jsDoc) === "") problems.push(`${name}: no description`);
    if (isNumeric(member.tsType) && !UNIT.test(text(member.jsDoc))) {
      problems.push(`${name}: is a number, and its description names no unit: "${text(member.jsDoc)}"`);
    }
  }
}

function docOf(entryPoint: string): Symbol_[] {
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", entryPoint],
    env: { NO_COLOR: "1" },
  }).outputSync();
  const decoder = new TextDecoder();
  if (!success) {
    console.log(decoder.decode(stderr));
    Deno.exit(1);
  }
  const { nodes } = JSON.parse(decoder.decode(stdout)) as { nodes: Record<string, { symbols: Symbol_[] }> };
  return Object.values(nodes).flatMap(({ symbols }) => symbols);
}

const entryPoints = Object.values(JSON.parse(Deno.readTextFileSync("deno.json")).exports as Record<string, string>);
const symbols = new Map(entryPoints.flatMap(docOf).map((symbol) => [symbol.name, symbol]));
const exported = new Set(symbols.keys());
const codeType = symbols.get("IpcErrorCode")?.declarations[0]?.def as { tsType?: Type } | undefined;
const codes = new Set(names(codeType?.tsType));
if (codes.size === 0) problems.push("IpcErrorCode: its codes are not found");

for (const [name, { declarations }] of symbols) {
  const open = declarations.filter(({ declarationKind }) => declarationKind !== "private");
  if (!open.some(({ jsDoc }) => tags(jsDoc, "example").some(({ doc }) => doc?.includes("```ts")))) {
    problems.push(`${name}: no @example`);
  }
  for (const { kind, jsDoc, def } of open) {
    looked++;
    checkThrows(name, jsDoc);
    if (kind === "function" && text(jsDoc) !== "") checkCall(name, jsDoc, def ?? {}, false);
    if (kind === "class" || kind === "interface") checkMembers(name, def ?? {});
  }
}

for (const problem of problems) console.log(problem);
console.log(`${looked} symbols and members, ${problems.length} problems`);
if (problems.length > 0) Deno.exit(1);
