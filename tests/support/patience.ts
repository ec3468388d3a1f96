// How long tests wait for what must happen before they call it a hang. No test measures speed by it.

/** Set by what runs the suite where everything takes much longer, as on an emulated processor. */
const VARIABLE = "ISTHMUS_TEST_PATIENCE";

const factor = Deno.permissions.querySync({ name: "env", variable: VARIABLE }).state === "granted"
  ? Number(Deno.env.get(VARIABLE) ?? 1)
  : 1;

/** A time-out in milliseconds for what must happen, given what is generous on a busy machine. */
export function patience(milliseconds: number): number {
  return milliseconds * factor;
}
