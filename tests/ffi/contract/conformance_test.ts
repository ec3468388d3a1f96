// Every back end does what the contract says.
import { BACKENDS } from "./backends.ts";
import { conformance as carrier } from "./carrier.ts";
import { conformance as doorbell } from "./doorbell.ts";
import { conformance as identity } from "./identity.ts";
import { conformance as memory } from "./memory.ts";
import { conformance as mutex } from "./mutex.ts";
import { conformance as names } from "./names.ts";
import { conformance as presence } from "./presence.ts";
import { conformance as threadEnd } from "./thread_end.ts";

for (const name of Object.keys(BACKENDS)) {
  for (const conformance of [memory, doorbell, carrier, names, identity, presence, mutex, threadEnd]) conformance(name);
}
