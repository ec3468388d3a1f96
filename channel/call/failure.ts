// What was thrown, on its way to the caller: the class by its name, and the parts of the error.
import { runtime } from "../../ffi/runtime/mod.ts";
import { IpcError, type IpcErrorCode } from "../../base/error.ts";

/** Causes of causes that are sent along. */
const MOST_CAUSES = 8;

/** Errors of an `AggregateError` that are sent along, and properties of any error. */
const MOST_ERRORS = 64, MOST_PROPERTIES = 32;

/** An error, or what else was thrown, as plain data. */
export interface Failure {
  /** What was thrown that is no error. */
  value?: unknown;
  /** The class: that of a standard error, `IpcError`, `DOMException`, or one of the runtime's own. */
  class?: string;
  /** The name, if it is not that of the class. */
  name?: string;
  message?: string;
  stack?: string;
  cause?: Failure;
  /** Those of an `AggregateError`. */
  errors?: Failure[];
  /** Own properties with simple values, such as `code`. */
  properties?: Record<string, unknown>;
}

type ErrorClass = new (message: string) => Error;

const STANDARD: readonly ErrorClass[] = [
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
];

/** The classes that errors may have, by the names that they have here; the most special ones first. */
const CLASSES: ReadonlyMap<string, ErrorClass> = new Map([
  ...runtime.errorClasses,
  ...STANDARD.map((type): [string, ErrorClass] => [type.name, type]),
  ["Error", Error],
]);

const CODES: ReadonlySet<unknown> = new Set(
  [
    "Disconnected",
    "Timeout",
    "Closed",
    "TooLarge",
    "Serialization",
    "Corrupt",
    "Incompatible",
    "NotFound",
    "AlreadyExists",
    "Deadlock",
    "Permission",
    "Unsupported",
    "System",
  ] satisfies IpcErrorCode[],
);

/** Properties that are sent in other ways, or never. */
const NOT_PROPERTIES = new Set(["name", "message", "stack", "cause", "errors", "__proto__", "constructor", "toString"]);

/**
 * What was thrown, as data.
 *
 * @param plain Only what can always be encoded: without values that are no errors.
 */
export function packFailure(thrown: unknown, plain = false): Failure {
  try {
    return pack(thrown, plain, 0);
  } catch {
    // A getter, or a Proxy, of the program's.
    return { class: "Error", message: "What was thrown cannot be looked at" };
  }
}

function pack(thrown: unknown, plain: boolean, depth: number): Failure {
  if (!(thrown instanceof Error)) {
    if (!plain) return { value: thrown };
    return { class: "Error", message: `What was thrown cannot be sent: ${describe(thrown)}` };
  }
  const type = classOf(thrown);
  const failure: Failure = { class: type, message: String(thrown.message) };
  if (typeof thrown.stack === "string") failure.stack = thrown.stack;
  const { name } = thrown;
  if (typeof name === "string") failure.name = name;
  const properties = propertiesOf(thrown);
  if (properties !== undefined) failure.properties = properties;
  if (Object.hasOwn(thrown, "cause") && depth < MOST_CAUSES) failure.cause = pack(thrown.cause, plain, depth + 1);
  if (thrown instanceof AggregateError && depth < MOST_CAUSES) {
    failure.errors = thrown.errors.slice(0, MOST_ERRORS).map((error) => pack(error, plain, depth + 1));
  }
  return failure;
}

function classOf(error: Error): string {
  if (error instanceof IpcError) return "IpcError";
  if (error instanceof DOMException) return "DOMException";
  if (error instanceof AggregateError) return "AggregateError";
  for (const [name, type] of CLASSES) if (error instanceof type) return name;
  return "Error";
}

function propertiesOf(error: Error): Record<string, unknown> | undefined {
  let found: Record<string, unknown> | undefined, count = 0;
  for (const [key, { value, enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(error))) {
    const simple = value !== undefined && (value === null || /^(string|number|boolean|bigint)$/.test(typeof value));
    if (!enumerable || !simple || NOT_PROPERTIES.has(key) || ++count > MOST_PROPERTIES) continue;
    (found ??= {})[key] = value;
  }
  return found;
}

function describe(thrown: unknown): string {
  try {
    return String(thrown).slice(0, 200);
  } catch {
    return typeof thrown;
  }
}

/** What the other side has thrown, whatever it has really sent. */
export function unpackFailure(from: unknown): unknown {
  return unpack(from, 0);
}

function unpack(from: unknown, depth: number): unknown {
  if (typeof from !== "object" || from === null || Array.isArray(from)) return new Error("The other side has failed");
  const failure = from as Failure;
  if (failure.class === undefined) return failure.value;
  const error = make(failure, depth);
  const { stack, name, cause } = failure;
  if (typeof name === "string" && error.name !== name && !(error instanceof DOMException)) define(error, "name", name);
  const inner = depth < MOST_CAUSES && cause !== undefined ? { cause: unpack(cause, depth + 1) } : undefined;
  const remote = new RemoteStack(typeof stack === "string" ? stack : text(failure.message), inner);
  define(error, "cause", remote);
  return error;
}

function make({ class: type, message, properties, name, errors }: Failure, depth: number): Error {
  const words = text(message);
  const given = typeof properties === "object" && properties !== null ? Object.entries(properties) : [];
  if (type === "IpcError") {
    const { code, errno, syscall, delivered } = Object.fromEntries(given);
    return new IpcError(CODES.has(code) ? code as IpcErrorCode : "System", words, {
      ...(typeof errno === "number" ? { errno } : {}),
      ...(typeof syscall === "string" ? { syscall } : {}),
      delivered: delivered !== false,
    });
  }
  if (type === "DOMException") return new DOMException(words, typeof name === "string" ? name : "Error");
  const error = type === "AggregateError"
    ? new AggregateError(depth < MOST_CAUSES && Array.isArray(errors) ? unpackAll(errors, depth) : [], words)
    : new (CLASSES.get(type as string) ?? Error)(words);
  for (const [key, value] of given.slice(0, MOST_PROPERTIES)) {
    const simple = value === null || /^(string|number|boolean|bigint)$/.test(typeof value);
    if (simple && !NOT_PROPERTIES.has(key)) {
      Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true });
    }
  }
  return error;
}

function unpackAll(errors: readonly unknown[], depth: number): unknown[] {
  return errors.slice(0, MOST_ERRORS).map((error) => unpack(error, depth + 1));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function define(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true });
}

/** The cause of an error that came from the other side: where it was thrown there. */
class RemoteStack extends Error {
  static {
    this.prototype.name = "RemoteStack";
  }

  constructor(stack: string, options: { cause: unknown } | undefined) {
    super(stack, options);
    define(this, "stack", stack);
  }

  override toString(): string {
    return this.message;
  }
}
