import { AppClient } from "../../src-shared/api/app/client.ts";
import { dispatch } from "../../src-shared/api/app/dispatch.ts";
import { pushFrame } from "../../src-shared/api/app/push.ts";
import type { Connection, ConnectionState } from "./connection.ts";
import { MemoryBackend } from "./memory/backend.ts";
import { memoryOptions } from "./memory/options.ts";

/** A simulated manager inside the window itself: for looking at screens without any other process. */
export class MemoryConnection implements Connection {
  readonly api: AppClient;
  readonly state: ConnectionState = { is: "open" };

  constructor(onDefect: (what: string) => void) {
    const backend = new MemoryBackend(memoryOptions(new URLSearchParams(location.search).get("lab") ?? ""));
    const receive = (frame: unknown) => setTimeout(() => this.api.receive(structuredClone(frame)));
    const window = { id: "window-1", shell: "memory" as const, gone: new AbortController().signal, emit: (name: never, payload: never) => void receive(pushFrame(name, payload)) };
    this.api = new AppClient({ send: (request) => void dispatch(backend, structuredClone(request), window).then(receive) }, onDefect);
    backend.connect(window);
  }

  onState(): void {}

  retry(): void {}
}
