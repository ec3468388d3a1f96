// Loaded before each test file under emulation: has the tests ignored that cannot run there, and notes which of those it
// has met, so that one that is gone is found out.
import { NOT_EMULATED } from "./not_emulated.ts";

const file = Deno.env.get("ISTHMUS_ARM64_FILE");
const met = Deno.env.get("ISTHMUS_ARM64_MET")!;
const names = new Set(NOT_EMULATED.filter((entry) => entry.file === file).map((entry) => entry.test));
const register = Deno.test as (definition: Deno.TestDefinition) => void;

// Every test of this suite is registered with one object; what is not passes through as it is.
Object.defineProperty(Deno, "test", {
  value: Object.assign((definition: Deno.TestDefinition, ...rest: []) => {
    const cannot = names.has(definition.name);
    if (cannot) Deno.writeTextFileSync(met, JSON.stringify([file, definition.name]) + "\n", { append: true });
    return register(cannot ? { ...definition, ignore: true } : definition, ...rest);
  }, Deno.test),
});
