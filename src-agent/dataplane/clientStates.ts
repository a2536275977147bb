import type { Address } from "../../src-shared/net/address.ts";

/** Where packets client -> home go (see DataPlane in ports.ts). A client without an entry is unknown. */
export type ClientState = { readonly kind: "unknown" | "served" | "held" } | { readonly kind: "relayed"; readonly member: Address };

/** One client of one home address, as the control side of a data plane sees it. */
export interface ClientEntry {
  readonly home: Address;
  readonly client: Address;
  readonly state: ClientState;
  readonly optimised: boolean;
}

export const stateNumbers = { unknown: 0, served: 1, held: 2, relayed: 3 } as const;

export type ClientKey = `${Address} ${Address}`;

export function clientKey(home: Address, client: Address): ClientKey {
  return `${home} ${client}`;
}

/** The clients that are in some state or optimised; one that is neither takes no room. */
export class ClientStates {
  readonly #entries = new Map<ClientKey, ClientEntry>();

  get(home: Address, client: Address): ClientEntry {
    return this.#entries.get(clientKey(home, client)) ?? { home, client, state: { kind: "unknown" }, optimised: false };
  }

  /** Stores an entry; false when it says nothing and was removed. */
  put(entry: ClientEntry): boolean {
    const key = clientKey(entry.home, entry.client);
    if (entry.state.kind === "unknown" && !entry.optimised) {
      this.#entries.delete(key);
      return false;
    }
    this.#entries.set(key, entry);
    return true;
  }

  of(home: Address): ClientEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.home === home);
  }
}
