// What presence must do.
import { assert, assertEquals } from "@std/assert";
import type { IpcFd } from "../../../mod.ts";
import { fileStatus } from "../../../ffi/file/file_status.ts";
import type { Self } from "../../support/actor.ts";
import { processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

const PLACE = 7;

/** Holds a file and a place of it. */
export function holdThere({ backend, file }: { backend: string; file: IpcFd }, self: Self): void {
  const { presence } = backendOf(backend);
  const holder = presence.holder(file.fd)!;
  self.say([presence.tryHold(holder.fd, "shared"), presence.tryTakePlace(holder.fd, PLACE)]);
  self.hear();
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { presence, memory } = backendOf(backend);

  test(`${backend}: a file is held by many, or by one alone`, () => {
    using file = memory.create("test", 4096);
    using a = presence.holder(file.fd)!, b = presence.holder(file.fd)!;
    assert(presence.tryHold(a.fd, "shared") && presence.tryHold(b.fd, "shared"));
    assert(!presence.tryHold(a.fd, "alone"));
    b.close();
    assert(presence.tryHold(a.fd, "alone"));
    using c = presence.holder(file.fd)!;
    assert(!presence.tryHold(c.fd, "shared"));
  });

  test(`${backend}: a place is one holder's, whose clones are the same holder`, () => {
    using file = memory.create("test", 4096);
    using a = presence.holder(file.fd)!, b = presence.holder(file.fd)!;
    assert(presence.tryTakePlace(a.fd, PLACE) && presence.tryTakePlace(a.fd, PLACE));
    assert(!presence.tryTakePlace(b.fd, PLACE));
    assertEquals([presence.isPlaceTaken(a.fd, PLACE), presence.isPlaceTaken(b.fd, PLACE)], [false, true]);
    const clone = a.clone();
    a.close();
    assert(presence.isPlaceTaken(b.fd, PLACE));
    clone.close();
    assert(!presence.isPlaceTaken(b.fd, PLACE));
    assert(presence.tryTakePlace(b.fd, PLACE));
    presence.leavePlace(b.fd, PLACE);
    using c = presence.holder(file.fd)!;
    assert(presence.tryTakePlace(c.fd, PLACE));
  });

  test(`${backend}: places of others are counted, also beyond the end of the file`, () => {
    using file = memory.create("test", 4096);
    const holders = Array.from({ length: 5 }, () => presence.holder(file.fd)!);
    holders.forEach(({ fd }, i) => assert(presence.tryTakePlace(fd, 1_000_000 * i)));
    using looker = presence.holder(file.fd)!;
    assertEquals(presence.countPlacesTaken(looker.fd, 0, 10_000_000), 5);
    assertEquals(presence.countPlacesTaken(looker.fd, 1_000_000, 3_000_000), 2);
    assertEquals(presence.countPlacesTaken(holders[0]!.fd, 0, 10_000_000), 4);
    for (const holder of holders) holder.close();
    assertEquals(presence.countPlacesTaken(looker.fd, 0, 10_000_000), 0);
  });

  processTest(`${backend}: a process is there until it is killed`, async ({ start }) => {
    using file = memory.create("test", 4096);
    using own = presence.holder(file.fd)!;
    const child = await start(import.meta.url, holdThere, { backend, file });
    assertEquals(await child.said(), [true, true]);
    assert(presence.isPlaceTaken(own.fd, PLACE));
    assert(!presence.tryHold(own.fd, "alone"));
    assertEquals(presence.holders(fileStatus(file.fd)!), [child.pid]);
    await child.kill();
    assert(!presence.isPlaceTaken(own.fd, PLACE));
    assert(presence.tryHold(own.fd, "alone"));
    assertEquals(presence.holders(fileStatus(file.fd)!), [Deno.pid]);
  });
}
