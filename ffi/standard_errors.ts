// The classes of errors that keep their class on the way, as with structuredClone. Imports nothing.

/** By name. */
export const ERRORS: Record<string, ErrorConstructor> = {
  Error,
  EvalError: EvalError as ErrorConstructor,
  RangeError: RangeError as ErrorConstructor,
  ReferenceError: ReferenceError as ErrorConstructor,
  SyntaxError: SyntaxError as ErrorConstructor,
  TypeError: TypeError as ErrorConstructor,
  URIError: URIError as ErrorConstructor,
};
