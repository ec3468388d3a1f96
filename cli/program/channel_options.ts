// The flags for a named channel that may have to be made, or may be another user's.
import type { NamedChannelOptions } from "../../channel/mod.ts";
import { MAX_CAPACITY } from "../../channel/inspect.ts";
import { integerOf } from "./arguments.ts";
import { type Call, type Flag, UsageError } from "./command.ts";
import { TRUST_FLAG, trustOf } from "./trust.ts";

/** The flags. */
export const CHANNEL_FLAGS: Readonly<Record<"capacity" | "mode" | "trust", Flag>> = {
  capacity: { help: "Bytes that a new channel holds, 4 MiB by default", value: "BYTES" },
  mode: {
    help: "Permission bits of a new channel, 600 by default; who may write to one that is there",
    value: "OCTAL",
  },
  ...TRUST_FLAG,
};

/** The options that they mean. */
export function channelOptionsOf(call: Call): NamedChannelOptions {
  const capacity = integerOf(call, "capacity", { least: 1, most: MAX_CAPACITY });
  const { mode } = call.flags;
  if (mode !== undefined && !/^0?[0-7]{3}$/.test(String(mode))) {
    throw new UsageError(`"--mode" takes three octal digits, such as 660, and not "${mode}"`);
  }
  if (mode !== undefined && !/^0?[67][0-7]{2}$/.test(String(mode))) {
    throw new UsageError(`"--mode=${mode}" would keep the channel's owner from reading or writing it: begin with 6`);
  }
  return {
    ...trustOf(call),
    ...(capacity === undefined ? {} : { capacity }),
    ...(mode === undefined ? {} : { mode: parseInt(String(mode), 8) }),
  };
}
