// What the two ends of a conversation with calls send each other: arrays, as values of the channel.
//
// ```text
// [0, version, window]        the sender takes calls: so many at a time
// [1, id, method, arguments]  a call; the id is the caller's, from 1 up
// [2, id, value]              the answer
// [3, id, failure]            what was thrown, or why it was not called
// [4, id]                     the answer is a stream
// [5, id, number, value]      an item of it, counted from 0
// [6, id, count]              the end of it, after so many items
// [7, id, count]              so many more items are wanted
// [8, id, failure]            the answer is not wanted any more
// [9, failure]                a message of the other side could not be received
// [10, number]                asks which calls of the asking side are under way
// [11, number, under way]     which are: ids, each followed by the items of its stream that were sent
// ```

/** The version of all this. */
export const CALL_VERSION = 1;

/** Kinds of frames, their first elements. */
export const HELLO = 0,
  CALL = 1,
  RESULT = 2,
  THROW = 3,
  STREAM = 4,
  ITEM = 5,
  END = 6,
  MORE = 7,
  STOP = 8,
  SKIPPED = 9,
  SYNC = 10,
  SYNCED = 11;

/** Elements of a frame of each kind. */
const LENGTHS = [3, 4, 3, 3, 2, 4, 3, 3, 3, 2, 2, 3];

/** A frame whose kind and length are right; what else is in it is for its receiver to check. */
export type Frame = [kind: number, ...rest: unknown[]];

/** Whether a message is a frame. */
export function isFrame(message: unknown): message is Frame {
  return Array.isArray(message) && typeof message[0] === "number" && message.length === LENGTHS[message[0]];
}

/** Whether an element is a count or an id. */
export function isCount(element: unknown): element is number {
  return typeof element === "number" && Number.isSafeInteger(element) && element >= 0;
}
