import { AppClient } from "../../src-shared/api/app/client.ts";
import type { Connection, ConnectionState } from "./connection.ts";

/** What the Electron preload script exposes: frames, and nothing that could name a channel. */
export interface Bridge {
  send(request: unknown): void;
  /** Called with every frame from the manager. */
  receive(listener: (frame: unknown) => void): void;
}

/** The manager is in the same application: it is there for as long as the window is. */
export class IpcConnection implements Connection {
  readonly api: AppClient;
  readonly state: ConnectionState = { is: "open" };

  constructor(bridge: Bridge, onDefect: (what: string) => void) {
    this.api = new AppClient({ send: (request) => bridge.send(request) }, onDefect);
    bridge.receive((frame) => this.api.receive(frame));
  }

  onState(): void {}

  retry(): void {}
}
