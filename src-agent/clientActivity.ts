import type { Address } from "../src-shared/net/address.ts";
import { DatagramClients } from "./datagramClients.ts";
import type { Clock, Connections, DatagramWatch, WatchDatagrams } from "./ports.ts";

/** What activity needs from its group. */
export interface ActivityPorts {
  readonly home: Address;
  readonly clock: Clock;
  readonly connections: Connections;
  readonly watchDatagrams: WatchDatagrams;
  /** Whose tunnels to us carry packets of clients: the home agent and the other members. */
  readonly tunnelSources: ReadonlySet<Address>;
  /** Another member serves this client; what passes here is on its way there. */
  readonly isElsewhere: (client: Address) => boolean;
  readonly onActivity: (client: Address, active: boolean) => void;
  readonly drop: (reason: string) => void;
}

const tickMs = 5_000;

/** Who uses X at this member: whoever has connections, and whoever sends datagrams. */
export class ClientActivity {
  readonly #ports: ActivityPorts;
  readonly #datagrams: DatagramClients;
  readonly #watch: DatagramWatch;
  readonly #timer: NodeJS.Timeout;

  constructor(ports: ActivityPorts) {
    this.#ports = ports;
    this.#datagrams = new DatagramClients(
      {
        onActive: (client) => !this.#isConnected(client) && ports.onActivity(client, true),
        onIdle: (client) => !this.#isConnected(client) && ports.onActivity(client, false),
        onRefused: ports.drop,
      },
      ports.clock.mono(),
    );
    this.#watch = ports.watchDatagrams(ports.home, (client, tunnelSource) => this.#onDatagram(client, tunnelSource));
    this.#timer = setInterval(() => this.#datagrams.tick(ports.clock.mono(), this.#watch.takeLost() > 0), tickMs);
    ports.connections.onClient((_home, client, _service, first) => {
      if (first && !this.#datagrams.has(client)) ports.onActivity(client, true);
    });
    ports.connections.onIdle((_home, client) => {
      if (!this.#datagrams.has(client)) ports.onActivity(client, false);
    });
  }

  /** A handoff brought this client here. */
  arrived(client: Address, connections: number): void {
    if (connections === 0) this.#datagrams.adopt(client, this.#ports.clock.mono());
  }

  /** A handoff took it away. */
  left(client: Address): void {
    this.#datagrams.forget(client);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#watch.close();
  }

  #onDatagram(client: Address, tunnelSource: Address | null): void {
    if (tunnelSource !== null && !this.#ports.tunnelSources.has(tunnelSource)) return;
    if (!this.#ports.isElsewhere(client)) this.#datagrams.seen(client, this.#ports.clock.mono());
  }

  #isConnected(client: Address): boolean {
    return this.#ports.connections.connectionsOf(this.#ports.home, client).length > 0;
  }
}
