import type { Address } from "../../../src-shared/net/address.ts";
import { XfrmReports } from "../../linux/xfrmReports.ts";
import type { DataPlane, DataPlaneCounters, Moved } from "../../ports.ts";
import type { DataPlaneContext } from "../context.ts";
import { Optimisation } from "./optimisation.ts";

interface Home {
  readonly careOf: Address;
  readonly clients: Set<Address>;
}

/** Makes the plane that does what XFRM cannot; `context.kernelTranslates` is set. */
export type MakeTunnels = (context: DataPlaneContext) => DataPlane;

/**
 * Translation by the kernel's own Mobile IPv6 (XFRM route optimisation, CONFIG_IPV6_MIP6). It knows no tunnels with conditions, keeps no packets and counts no
 * clients: those parts belong to another plane, which leaves extension headers alone but for clients that are held or relayed.
 */
export class KernelDataPlane implements DataPlane {
  readonly kind = "kernel";
  readonly #tunnels: DataPlane;
  readonly #optimisation: Optimisation;
  readonly #homes = new Map<Address, Home>();
  /** Packets that each binding had translated when somebody last asked. */
  readonly #uses = new Map<Address, number>();
  readonly #undo: (() => void)[] = [];
  #onUnbound: (home: Address, careOf: Address, destination: Address) => void = () => {};

  /** Throws, with everything undone, when the kernel or our rights do not allow it. */
  constructor(context: DataPlaneContext, makeTunnels: MakeTunnels) {
    try {
      // First: it makes sure that we are alone, and removes what a killed agent left.
      this.#tunnels = makeTunnels({ ...context, kernelTranslates: true });
      this.#undo.push(() => this.#tunnels.close());
      this.#optimisation = new Optimisation(context.address);
      this.#undo.push(() => this.#optimisation.close());
      const reports = new XfrmReports((...args) => this.#onUnbound(...args));
      this.#undo.push(() => reports.close());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  bind(home: Address, careOf: Address): void {
    this.#tunnels.bind(home, careOf);
    this.#optimisation.bind(home, careOf);
    this.#uses.set(home, this.#optimisation.packetsOf(home));
  }

  takeUse(home: Address): boolean {
    const before = this.#uses.get(home);
    if (before === undefined) return false;
    const now = this.#optimisation.packetsOf(home);
    this.#uses.set(home, now);
    return now > before;
  }

  unbind(home: Address): void {
    this.#uses.delete(home);
    this.#optimisation.unbind(home);
    this.#tunnels.unbind(home);
  }

  tunnel(home: Address, careOf: Address): void {
    this.#tunnels.tunnel(home, careOf);
  }

  untunnel(home: Address): void {
    this.#tunnels.untunnel(home);
  }

  addHome(home: Address, options: { readonly careOf: Address; readonly homeAgent: Address; readonly via: Address }): void {
    this.#tunnels.addHome(home, options);
    this.#optimisation.addHome(home);
    const clients = this.#homes.get(home)?.clients ?? new Set();
    this.#homes.set(home, { careOf: options.careOf, clients });
    for (const client of clients) this.#optimisation.optimise(home, client, options.careOf);
  }

  removeHome(home: Address): void {
    for (const client of this.#homes.get(home)?.clients ?? []) this.#optimisation.unoptimise(home, client);
    if (this.#homes.delete(home)) this.#optimisation.removeHome(home);
    this.#tunnels.removeHome(home);
  }

  setMembers(home: Address, members: readonly Address[]): void {
    this.#tunnels.setMembers(home, members);
  }

  optimise(home: Address, client: Address): void {
    const entry = this.#homes.get(home);
    if (!entry) throw new Error(`${home} is not served here: its clients cannot be optimised`);
    this.#optimisation.optimise(home, client, entry.careOf);
    entry.clients.add(client);
  }

  unoptimise(home: Address, client: Address): void {
    if (this.#homes.get(home)?.clients.delete(client)) this.#optimisation.unoptimise(home, client);
  }

  serve(home: Address, client: Address): void {
    this.#tunnels.serve(home, client);
  }

  unserve(home: Address, client: Address): void {
    this.#tunnels.unserve(home, client);
  }

  relay(home: Address, client: Address, member: Address): void {
    this.#tunnels.relay(home, client, member);
  }

  unrelay(home: Address, client: Address): void {
    this.#tunnels.unrelay(home, client);
  }

  hold(home: Address, client: Address): void {
    this.#tunnels.hold(home, client);
  }

  release(home: Address, client: Address): void {
    this.#tunnels.release(home, client);
  }

  discard(home: Address, client: Address): void {
    this.#tunnels.discard(home, client);
  }

  onUnbound(handler: (home: Address, careOf: Address, destination: Address) => void): void {
    this.#onUnbound = handler;
  }

  counters(): DataPlaneCounters {
    const tunnels = this.#tunnels.counters();
    const kernel = this.#optimisation.counts();
    const unbound = kernel.unbound.packets;
    return {
      ...tunnels,
      translatedOut: sum(tunnels.translatedOut, kernel.out),
      translatedIn: sum(tunnels.translatedIn, kernel.in),
      drops: unbound > 0 ? { ...tunnels.drops, "home address option without binding": unbound } : tunnels.drops,
    };
  }

  close(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }
}

function sum(a: Moved, b: Moved): Moved {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}
