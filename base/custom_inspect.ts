// What objects look like when they are printed: their name and state, never their insides. Imports nothing.

type Inspect = (value: unknown, options?: unknown) => string;

/**
 * Says how the objects of a class are printed, by Deno and by `node:util`.
 *
 * @param prototype The prototype of the class; classes that extend it print by their own name.
 * @param look What is to be seen of an object. Looking must neither change nor wait for anything.
 */
export function printAs<T extends object>(
  prototype: T,
  look: (object: T) => Record<string, unknown>,
): void {
  const text = (object: T, inspect: Inspect, options: unknown) => {
    const name = object.constructor.name;
    let seen: Record<string, unknown>;
    try {
      seen = Object.fromEntries(Object.entries(look(object)).filter(([, value]) => value !== undefined));
    } catch {
      seen = {}; // the prototype, or an object in the middle of its making
    }
    return `${name} ${inspect(seen, options)}`;
  };
  Object.defineProperties(prototype, {
    [Symbol.for("Deno.customInspect")]: {
      value(this: T, inspect: Inspect, options: unknown): string {
        return text(this, inspect, options);
      },
      configurable: true,
      writable: true,
    },
    [Symbol.for("nodejs.util.inspect.custom")]: {
      value(this: T, _depth: number, options: unknown, inspect: Inspect): string {
        return text(this, inspect, options);
      },
      configurable: true,
      writable: true,
    },
  });
}

/** The word for whether something is open. */
export function stateOf({ closed }: { readonly closed: boolean }): "open" | "closed" {
  return closed ? "closed" : "open";
}
