import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { ChildProcess } from "node:child_process";
import type { ClientCommand, ClientState } from "./client.ts";
import { home, type World } from "./world.ts";

const pollMs = 20;

/** A TCP client of its own in the client's namespace, driven by the test. */
export class RemoteClient {
  readonly #child: ChildProcess;
  readonly #answers: ((state: ClientState) => void)[] = [];

  private constructor(world: World) {
    this.#child = world.run([process.execPath, resolve(import.meta.dirname, "client.ts")], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#answers.shift()?.(JSON.parse(line) as ClientState));
  }

  /** Connects to X; the state says whether that worked. */
  static async connect(world: World, port: number, allowHalfOpen = false): Promise<RemoteClient> {
    const client = new RemoteClient(world);
    await client.do({ do: "connect", host: home, port, allowHalfOpen });
    return client;
  }

  /** Does not wait for the connection. */
  static start(world: World, port: number): { readonly client: RemoteClient; readonly connected: Promise<ClientState> } {
    const client = new RemoteClient(world);
    return { client, connected: client.do({ do: "connect", host: home, port, allowHalfOpen: false }) };
  }

  do(command: ClientCommand): Promise<ClientState> {
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    });
  }

  /** Waits until the state is as wanted; throws with the last one after `withinMs`. */
  async until(what: string, wanted: (state: ClientState) => boolean, withinMs = 20_000): Promise<ClientState> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const state = await this.do({ do: "state" });
      if (wanted(state)) return state;
      if (Date.now() > deadline) throw new Error(`not in ${withinMs} ms: ${what}; the client has ${JSON.stringify(state)}`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}
