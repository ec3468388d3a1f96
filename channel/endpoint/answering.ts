// Answers the messages of a conversation, one after another.
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { timeoutOf, type WaitOptions } from "../../base/wait.ts";

/** An end of a conversation, of values or of bytes. */
interface End<in Out, out In> {
  readonly closed: boolean;
  trySend(answer: Out): boolean;
  send(answer: Out, options?: WaitOptions): Promise<void>;
  tryRecv(): unknown;
  recv(options?: WaitOptions): Promise<In>;
}

/** What `run()` of a conversation does, and says. */
export async function answerMessages<Out, In>(
  end: End<Out, In>,
  handler: (message: In) => Out | void | Promise<Out | void>,
  options: { signal?: AbortSignal },
): Promise<void> {
  if (typeof handler !== "function") {
    throw new TypeError(`Cannot answer messages by ${asFound(handler)}: the handler must be a function`);
  }
  timeoutOf(options); // checks the signal
  const { signal } = options;
  const wait = signal === undefined ? undefined : { signal };
  /** Whether what a wait rejects with is the end, as asked for by this side or by the other. */
  const isTheEnd = (error: unknown) =>
    signal?.aborted ||
    (error instanceof IpcError && (error.code === "Disconnected" || (error.code === "Closed" && end.closed)));
  if (end.closed) end.tryRecv(); // throws
  while (!signal?.aborted) {
    let message: In;
    try {
      message = await end.recv(wait);
    } catch (error) {
      if (isTheEnd(error)) return;
      throw error;
    }
    const answer = await handler(message);
    if (answer === undefined) continue;
    try {
      // After the signal it must not wait, but the other end does for its answer.
      if (signal?.aborted) return void end.trySend(answer as Out);
      await end.send(answer as Out, wait);
    } catch (error) {
      if (isTheEnd(error)) return;
      throw error;
    }
  }
}
