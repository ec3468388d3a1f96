// Arrays that stand for something else, such as an endpoint, among plain values.

/** Stands for what will be made of an array, once it is certain that the message is plain. */
export class Marked {
  readonly content: readonly unknown[];
  constructor(content: readonly unknown[]) {
    this.content = content;
  }
}

/** Puts what `revive` makes of each marked array in its place. */
export function revived(value: unknown, revive: (content: readonly unknown[]) => unknown): unknown {
  if (value instanceof Marked) return revive(value.content);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (typeof value[i] === "object") value[i] = revived(value[i], revive);
    }
  } else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    const record = value as Record<string, unknown>;
    for (const key in record) {
      if (typeof record[key] === "object") record[key] = revived(record[key], revive);
    }
  }
  return value;
}
