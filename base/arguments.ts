// Arguments of public functions: a mistake is a `TypeError` where it is made. Imports nothing.

/**
 * A value for the message of an error: short, and of one line.
 *
 * @param value Anything.
 */
export function asFound(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case "bigint":
      return `${value}n`;
    case "function":
      return "(a function)";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "(an array)" : `(${articleOf(value)})`;
    default:
      return String(value);
  }
}

function articleOf(value: object): string {
  let name: unknown;
  try {
    name = value.constructor?.name;
  } catch {
    // a Proxy, or a getter, of the program's
  }
  if (typeof name !== "string" || name === "" || name === "Object") return "an object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

/**
 * Options as they were given; an empty object for none.
 *
 * @param options What was given.
 * @param what What they are for: "Cannot make a channel".
 * @throws {TypeError} If it is no object.
 */
export function optionsOf<O extends object>(options: O | undefined, what: string): O {
  if (options === undefined) return {} as O;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${what} with the options ${asFound(options)}: they must be an object`);
  }
  return options;
}

/**
 * Checks a number that an option or an argument gives.
 *
 * @param what What was to be done with it, up to the number: "Cannot make a channel with the capacity".
 * @throws {TypeError} If it is no number.
 * @throws {RangeError} If it is not an integer between the limits.
 */
export function integerOf(value: unknown, from: number, to: number, what: string): number {
  const rule = `it must be an integer from ${from}${to === Number.MAX_SAFE_INTEGER ? "" : ` to ${to}`}`;
  if (typeof value !== "number") throw new TypeError(`${what} ${asFound(value)}: ${rule}`);
  if (!Number.isInteger(value) || value < from || value > to) throw new RangeError(`${what} ${value}: ${rule}`);
  return value;
}

/**
 * Checks the permission bits that an option gives; 0o600 for none.
 *
 * @param what What was to be made: "a channel".
 * @throws {RangeError} If they are not 0o600 to 0o777, or keep the owner out.
 */
export function modeOf(mode: unknown, what: string): number {
  if (mode === undefined) return 0o600;
  const rule = "it is from 0o600 to 0o777, and its owner can read and write";
  if (typeof mode !== "number" || !Number.isInteger(mode) || mode < 0 || mode > 0o777 || (mode & 0o600) !== 0o600) {
    const found = typeof mode === "number" && mode >= 0 && Number.isInteger(mode)
      ? `0o${mode.toString(8)}`
      : asFound(mode);
    throw new RangeError(`Cannot make ${what} with the mode ${found}: ${rule}`);
  }
  return mode;
}
