// Replacing the value of a cell by what a function makes of it.
import { types } from "node:util";
import { asFound } from "../base/arguments.ts";
import { IpcError } from "../base/error.ts";
import type { Attachment } from "./cell.ts";
import { type IpcArcGuard, isHeld } from "./guard.ts";
import type { PodLayout } from "./layout/layout.ts";
import { encodeValue } from "./value_codec.ts";

/** Stores a value under a guard, which code of the program may have ended: that of the update, or a getter. */
export function storeUpdate<T>(
  value: T,
  guard: IpcArcGuard<T>,
  { cell, file }: Attachment,
  layout: PodLayout<T> | undefined,
): T {
  if (!isHeld(guard)) throw closedMeanwhile(file.name);
  if (layout !== undefined) {
    guard.value = value;
    return value;
  }
  // Not by way of the guard: the value cannot change any more, so it need not be encoded again.
  const { store } = cell;
  const bytes = encodeValue(value, store.capacity, file.name);
  if (!isHeld(guard)) throw closedMeanwhile(file.name);
  if (!store.equals(bytes)) {
    store.write(bytes);
    cell.announce();
  }
  return value;
}

function closedMeanwhile(name: string): IpcError {
  return new IpcError(
    "Closed",
    `Cannot update the cell "${name}": it was closed before the new value was stored, and the old one stays`,
  );
}

/** No value is like that: values have no functions. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return types.isPromise(value); // asks nothing of the value itself
}

/** @throws {TypeError} If it is not a function. */
export function checkUpdate(fn: unknown): void {
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot update a cell with ${asFound(fn)}: give a function from the old value to the new one`);
  }
}
