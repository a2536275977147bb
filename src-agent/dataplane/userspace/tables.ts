import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import type { ClientState } from "../clientStates.ts";

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
  readonly member: Uint8Array | undefined;
  readonly optimised: boolean;
}

/** An address as the data path compares it. */
export function addressKey(address: Address): string {
  return Buffer.from(addressBytes(address)).toString("latin1");
}

/** The data path's tables, keyed by the bytes of addresses (home then peer, where there are two). */
export class Tables {
  locals = new Set<string>();
  readonly bindings = new Map<string, { readonly bytes: Uint8Array; readonly key: string; readonly slot: number }>();
  readonly tunnels = new Map<string, { readonly bytes: Uint8Array; readonly key: string }>();
  readonly homes = new Map<string, Home>();
  readonly members = new Set<string>();
  readonly clients = new Map<string, Client>();

  apply(command: Exclude<Command, { do: "stop" | "reassembled" }>): void {
    switch (command.do) {
      case "locals":
        this.locals = new Set(command.addresses.map(addressKey));
        return;
      case "bind": {
        const { home, careOf, slot } = command;
        if (careOf) this.bindings.set(addressKey(home), { bytes: addressBytes(careOf), key: addressKey(careOf), slot });
        else this.bindings.delete(addressKey(home));
        return;
      }
      case "tunnel": {
        const { home, careOf } = command;
        if (careOf) this.tunnels.set(addressKey(home), { bytes: addressBytes(careOf), key: addressKey(careOf) });
        else this.tunnels.delete(addressKey(home));
        return;
      }
      case "home":
        return this.#setHome(command.home, command.ends);
      case "members": {
        const home = addressKey(command.home);
        for (const key of this.members) if (key.startsWith(home)) this.members.delete(key);
        for (const member of command.members) this.members.add(home + addressKey(member));
        return;
      }
      case "client": {
        const key = addressKey(command.home) + addressKey(command.client);
        const { state, optimised } = command;
        if (state.kind === "unknown" && !optimised) this.clients.delete(key);
        else this.clients.set(key, { state: state.kind, member: state.kind === "relayed" ? addressBytes(state.member) : undefined, optimised });
        return;
      }
    }
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
