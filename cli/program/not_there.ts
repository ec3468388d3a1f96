// The errors for what a command was to work on, and is not there.
import { Refused } from "./command.ts";

/** The error for a cell that is not there. */
export function noCell(what: string, name: string): Refused {
  return new Refused(`Cannot ${what} "${name}": there is no shared cell of that name; "isthmus ls" lists them`);
}

/** The error for a channel that is not there. */
export function noChannel(what: string, path: string): Refused {
  return new Refused(`Cannot ${what} "${path}": there is no named channel at that path`);
}
