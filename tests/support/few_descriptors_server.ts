// A server as in the README, with few descriptors: prints its name, and at the end of its standard input what it has seen.
// Arguments: the limit that the shell has set is its own.
import { IpcServer } from "../../mod.ts";

const server = new IpcServer<number, number>();
console.log(server.name);
let open = 0, most = 0, total = 0;
const serving = (async () => {
  for await (const client of server) {
    open++, total++;
    most = Math.max(most, open);
    void client.run((n) => -n).finally(() => {
      client.close();
      open--;
    });
  }
})();
await new Response(Deno.stdin.readable).text();
server.close();
await serving;
console.log(JSON.stringify({ most, total }));
Deno.exit();
