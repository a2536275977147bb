import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import type { ClientState } from "../clientStates.ts";
import { addressKey } from "./addressKeys.ts";

/** What the control side tells the thread that moves the packets. */
export type Command =
  | { readonly do: "locals"; readonly addresses: readonly Address[] }
  /** `slot`: where the thread notes that the binding is used. */
  | { readonly do: "bind"; readonly home: Address; readonly careOf: Address | null; readonly slot: number }
  | { readonly do: "tunnel"; readonly home: Address; readonly careOf: Address | null }
  | { readonly do: "home"; readonly home: Address; readonly ends: { readonly careOf: Address; readonly homeAgent: Address; readonly via: Address } | null }
  | { readonly do: "members"; readonly home: Address; readonly members: readonly Address[] }
  | { readonly do: "client"; readonly home: Address; readonly client: Address; readonly state: ClientState; readonly optimised: boolean }
  /** A whole tunnel packet that came in fragments. */
  | { readonly do: "reassembled"; readonly packet: Uint8Array }
  | { readonly do: "stop" };

/** The other end of a tunnel or binding. */
export interface End {
  readonly bytes: Uint8Array;
  readonly key: string;
}

export interface Home {
  readonly key: string;
  readonly careOf: Uint8Array;
  readonly careOfKey: string;
  readonly homeAgent: Uint8Array;
  readonly homeAgentKey: string;
  readonly via: Uint8Array;
  /** We are the contact: reverse tunnels of other members go on from here. */
  readonly contact: boolean;
}

export interface Client {
  readonly state: ClientState["kind"];
  /** Who serves the client that we relay to. */
  readonly member: End | undefined;
  readonly optimised: boolean;
}

/** What is known of peers of home addresses. Not one map with joined keys: those would be new strings for each packet, to be hashed anew. */
export class ByHome<T> {
  readonly #homes = new Map<string, Map<string, T>>();

  get(home: string, peer: string): T | undefined {
    return this.#homes.get(home)?.get(peer);
  }

  set(home: string, peer: string, value: T): void {
    const peers = this.#homes.get(home);
    if (peers) peers.set(peer, value);
    else this.#homes.set(home, new Map([[peer, value]]));
  }

  delete(home: string, peer: string): void {
    const peers = this.#homes.get(home);
    if (peers?.delete(peer) && peers.size === 0) this.#homes.delete(home);
  }

  clear(home: string): void {
    this.#homes.delete(home);
  }
}

/** The data path's tables, by the keys of addresses. */
export class Tables {
  locals = new Set<string>();
  readonly bindings = new Map<string, End & { readonly slot: number }>();
  readonly tunnels = new Map<string, End>();
  readonly homes = new Map<string, Home>();
  readonly members = new ByHome<true>();
  readonly clients = new ByHome<Client>();
  /** One for all clients of a member: there may be very many, and few members. */
  readonly #memberEnds = new Map<Address, End>();

  apply(command: Exclude<Command, { do: "stop" | "reassembled" }>): void {
    switch (command.do) {
      case "locals":
        this.locals = new Set(command.addresses.map(addressKey));
        return;
      case "bind": {
        const { home, careOf, slot } = command;
        if (careOf) this.bindings.set(addressKey(home), { ...end(careOf), slot });
        else this.bindings.delete(addressKey(home));
        return;
      }
      case "tunnel": {
        const { home, careOf } = command;
        if (careOf) this.tunnels.set(addressKey(home), end(careOf));
        else this.tunnels.delete(addressKey(home));
        return;
      }
      case "home":
        return this.#setHome(command.home, command.ends);
      case "members": {
        const home = addressKey(command.home);
        this.members.clear(home);
        for (const member of command.members) this.members.set(home, addressKey(member), true);
        return;
      }
      case "client": {
        const home = addressKey(command.home);
        const client = addressKey(command.client);
        const { state, optimised } = command;
        if (state.kind === "unknown" && !optimised) this.clients.delete(home, client);
        else this.clients.set(home, client, { state: state.kind, member: state.kind === "relayed" ? this.#memberEnd(state.member) : undefined, optimised });
        return;
      }
    }
  }

  #memberEnd(member: Address): End {
    const known = this.#memberEnds.get(member);
    if (known) return known;
    const made = end(member);
    this.#memberEnds.set(member, made);
    return made;
  }

  #setHome(home: Address, ends: { careOf: Address; homeAgent: Address; via: Address } | null): void {
    const key = addressKey(home);
    if (!ends) {
      this.homes.delete(key);
      return;
    }
    this.homes.set(key, {
      key,
      careOf: addressBytes(ends.careOf),
      careOfKey: addressKey(ends.careOf),
      homeAgent: addressBytes(ends.homeAgent),
      homeAgentKey: addressKey(ends.homeAgent),
      via: addressBytes(ends.via),
      contact: ends.via === ends.homeAgent,
    });
  }
}

function end(address: Address): End {
  return { bytes: addressBytes(address), key: addressKey(address) };
}
