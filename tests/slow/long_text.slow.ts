// Text near the engine's limit. Needs 3 GiB of memory: run by `deno task test:slow`.
import { assert } from "@std/assert";
import { channel, IpcError } from "../../mod.ts";
import { test } from "../support/test.ts";

test("Text of 512 MiB arrives, or is refused when it is sent; the next message arrives", async () => {
  const [sender, receiver] = channel<unknown>();
  const long = "é".repeat(2 ** 28);
  for (
    const value of [
      long,
      { long },
      [new Date(0), long],
      new Map([[1, long]]),
      "x".repeat(2 ** 29 - 24),
      long.slice(1) + "\ud800",
    ]
  ) {
    try {
      await sender.send(value);
    } catch (error) {
      assert(error instanceof IpcError && (error.code === "Serialization" || error.code === "TooLarge"), String(error));
      sender.sendSync("after it");
      assert(receiver.recvSync({ timeout: 0 }) === "after it");
      continue;
    }
    // It was sent: so it arrives.
    const received = await receiver.recv();
    const text = (value: unknown): string =>
      typeof value === "string"
        ? value
        : value instanceof Map
        ? text(value.get(1))
        : text(Object.values(value as object).at(-1));
    assert(text(received) === text(value), "another text arrived");
    sender.sendSync("after it");
    assert(receiver.recvSync({ timeout: 0 }) === "after it");
  }
  sender.close(), receiver.close();
});
