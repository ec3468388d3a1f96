// Assertions on the error class of the package.
import { assertEquals, assertInstanceOf } from "@std/assert";
import { IpcError, type IpcErrorCode } from "../../mod.ts";
import { patience } from "./patience.ts";

/** Asserts that `act` fails, at once or by a rejection, with an `IpcError` of this code; returns it. */
export async function assertIpcError(code: IpcErrorCode, act: () => unknown): Promise<IpcError> {
  let result: unknown;
  try {
    result = await act();
  } catch (error) {
    return checked(error, code);
  }
  throw new Error(`Expected a failure with "${code}", but it returned ${Deno.inspect(result)}`);
}

/** As {@linkcode assertIpcError}, for what does not wait. */
export function assertIpcErrorSync(code: IpcErrorCode, act: () => unknown): IpcError {
  let result: unknown;
  try {
    result = act();
  } catch (error) {
    return checked(error, code);
  }
  throw new Error(`Expected a failure with "${code}", but it returned ${Deno.inspect(result)}`);
}

function checked(error: unknown, code: IpcErrorCode): IpcError {
  assertInstanceOf(error, IpcError);
  assertEquals(error.code, code, error.message);
  return error;
}

/** Rejects if a promise is not settled within half a minute (more where everything is slow), instead of hanging. */
export async function soon<T>(promise: Promise<T>, what = "It"): Promise<T> {
  const limit = patience(30_000);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs: not settled after ${limit / 1000} s`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
