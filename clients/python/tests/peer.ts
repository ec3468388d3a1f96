// What a Deno program does in the tests of the Python package: `peer.ts SCENARIO ARGUMENTS…`, with a line of JSON each way.
import { calls } from "./peer_calls.ts";
import { cells } from "./peer_cells.ts";
import { channels } from "./peer_channels.ts";
import { ringless } from "./peer_ringless.ts";
import { servers } from "./peer_servers.ts";
import { topics } from "./peer_topics.ts";
import { type Scenario, self } from "./peer_line.ts";

const scenarios: Record<string, Scenario> = { ...calls, ...cells, ...channels, ...ringless, ...servers, ...topics };
const [name, ...args] = Deno.args;
await scenarios[name!]!(self, args.map((argument) => JSON.parse(argument)));
