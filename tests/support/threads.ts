// Runs functions of test files in Workers.
import { IpcOneShotServer, type IpcSender } from "../../mod.ts";
import type { Actor } from "./actor.ts";
import { START } from "./patience.ts";

const MAIN = new URL("./thread_main.ts", import.meta.url).href;

/** The Workers of one test. */
export class Threads {
  readonly #workers: Worker[] = [];

  /** Starts a Worker that runs an exported function of a module, and hands it its job through a channel. */
  async start<Job>(module: string, actor: Actor<Job>, job: Job): Promise<void> {
    using server = new IpcOneShotServer<IpcSender<Job>>();
    this.#launch([module, actor.name, server.name]);
    const [receiver, inbox] = await server.accept({ timeout: START });
    inbox.sendSync(job);
    inbox.close(), receiver.close();
  }

  /** Starts a Worker that connects to a server, sends it a sender, and sends back what comes. */
  connect(server: string): void {
    this.#launch(["", "", server]);
  }

  #launch(args: string[]): void {
    const worker = new Worker(MAIN, { type: "module", name: JSON.stringify(args) });
    this.#workers.push(worker);
  }

  /** Ends all of them, wherever they are. */
  async end(): Promise<void> {
    for (const worker of this.#workers.splice(0)) worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
