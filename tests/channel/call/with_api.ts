// A conversation in one process whose other end exposes an object.
import { duplex, expose, type ExposeOptions, type IpcDuplex, type Remote, remote } from "../../../mod.ts";
import { soon } from "../../support/assert_ipc.ts";

/** Exposes an object, and calls it from the other end, until `body` is done. */
export async function withApi<Api extends object>(
  api: Api,
  body: (caller: Remote<Api>, ends: { here: IpcDuplex<unknown, unknown>; exposed: Promise<void> }) => Promise<void>,
  options?: ExposeOptions,
): Promise<void> {
  const [here, there] = duplex<unknown, unknown>();
  const exposed = expose(there, api, options);
  try {
    await body(remote<Api>(here), { here, exposed });
  } finally {
    here.close();
    await soon(exposed);
    there.close();
  }
}
