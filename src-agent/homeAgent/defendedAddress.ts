import type { Address } from "../../src-shared/net/address.ts";
import { isMulticast } from "../../src-shared/net/scope.ts";
import { newHomeLink, tendHomeLink, type HomeLink, type HomeLinkInput } from "../../src-shared/protocol/core/homeLink.ts";
import { decodeNeighbor, encodeNeighbor, type NeighborPacket } from "../../src-shared/protocol/wire/neighborDiscovery.ts";
import type { HomeLinks, HomeLinkSocket } from "../ports.ts";
import { timerWait, type RolePorts } from "../roles.ts";

/** A home address on our link: core/homeLink on a real one. The socket is there only while the address is being checked or defended. */
export class DefendedAddress {
  readonly #ports: RolePorts;
  readonly #links: HomeLinks;
  readonly #home: Address;
  readonly #own: Address;
  readonly #onChecked: (duplicate: boolean) => void;
  #socket: HomeLinkSocket | null = null;
  #state: HomeLink | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `own` is this host's address on the link; `onChecked` hears what came of `check`. */
  constructor(home: Address, own: Address, links: HomeLinks, ports: RolePorts, onChecked: (duplicate: boolean) => void) {
    this.#home = home;
    this.#own = own;
    this.#links = links;
    this.#ports = ports;
    this.#onChecked = onChecked;
  }

  /** Duplicate address detection: a second of listening. */
  check(): void {
    this.#give({ kind: "check" });
  }

  defend(): void {
    this.#give({ kind: "defend" });
  }

  undefend(): void {
    if (this.#state) this.#give({ kind: "undefend" });
  }

  get phase(): HomeLink["phase"] {
    return this.#state?.phase ?? "idle";
  }

  #give(input: HomeLinkInput, from?: Uint8Array): void {
    this.#socket ??= this.#links.open(this.#home, (bytes, sender) => this.#receive(bytes, sender));
    const now = this.#ports.clock.mono();
    const { state, effects, wakeAt } = tendHomeLink(this.#state ?? newHomeLink(this.#home, this.#own, this.#socket.linkLayer, now), input, now, this.#ports.random);
    this.#state = state;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = wakeAt === undefined ? null : setTimeout(() => this.#give({ kind: "wake" }), timerWait(wakeAt - now));
    for (const effect of effects) {
      if (effect.do === "sendNeighbor") this.#send(effect.packet, from);
      else if (effect.do === "drop") this.#ports.drop(effect.reason);
      // Later: it leads back into us.
      else queueMicrotask(() => this.#onChecked(effect.duplicate));
    }
    if (state.phase === "idle") this.#close();
  }

  /** An answer goes back to the link-layer address that the question came from. A link that is down must not end the agent. */
  #send(packet: NeighborPacket, from: Uint8Array | undefined): void {
    try {
      this.#socket?.send(encodeNeighbor(packet), isMulticast(packet.destination) ? undefined : from);
    } catch (error) {
      this.#ports.tell({ type: "log", level: "warn", text: `home address ${this.#home}: ${(error as Error).message}` });
    }
  }

  #receive(bytes: Uint8Array, from: Uint8Array): void {
    const decoded = decodeNeighbor(bytes);
    if (decoded.ok) this.#give({ kind: "neighbor", packet: decoded.packet }, from);
    else this.#ports.drop(`neighbor discovery: ${decoded.reason} (${decoded.field})`);
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = null;
    this.#state = null;
  }
}
