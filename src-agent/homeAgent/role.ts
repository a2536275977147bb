import type { HomeConfig } from "../../src-shared/api/control.ts";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { newHomeAgent, serveHome, type HomeAgent, type HomeAgentInput, type HomeService } from "../../src-shared/protocol/core/homeAgent.ts";
import { newHomeAfterLoss, restoreHome, saveHome } from "../../src-shared/protocol/core/savedHome.ts";
import type { Effect } from "../../src-shared/protocol/core/step.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { AgentError } from "../agentError.ts";
import { DefendedAddress } from "./defendedAddress.ts";
import type { HomeLinks, HomeStore } from "../ports.ts";
import { Machine, perform, type RolePorts } from "../roles.ts";

/** What a home agent may touch besides what every role may. */
export interface HomePorts extends RolePorts {
  readonly links: HomeLinks;
  readonly store: HomeStore;
  /** This host's own address: where registrations and tunnels end. */
  readonly own: Address;
}

const prefixLookUpMs = 1_000;

/** This host as the home agent of one home address (§10), which lies on the link of the data interface or is routed here. */
export class HomeAgentRole {
  readonly #machine: Machine<HomeAgent, HomeAgentInput>;
  readonly #ports: HomePorts;
  readonly #home: Address;
  readonly #link: DefendedAddress;
  #saved: HomeAgent | null = null;
  #unsaved = false;
  #prefix: { readonly at: number; readonly endsAt: number } | null = null;

  private constructor(state: HomeAgent, ports: HomePorts) {
    this.#ports = ports;
    this.#home = state.service.home;
    this.#link = new DefendedAddress(this.#home, ports.own, ports.links, ports, (duplicate) => this.#give({ kind: "duplicateChecked", duplicate }));
    this.#machine = new Machine<HomeAgent, HomeAgentInput>(state, serveHome, { kind: "wake" }, ports, {
      settled: (next) => this.#save(next),
      perform: (effect) => this.#perform(effect),
    });
  }

  /** Starts from what the manager says. Throws AgentError. */
  static start(config: HomeConfig, ports: HomePorts): HomeAgentRole {
    const home = parseAddress(config.homeAddress);
    const service = serviceOf(config, ports);
    const { mono, wall } = { mono: ports.clock.mono(), wall: ports.clock.wall() };
    // What can be read was restored when the agent started: what is still there cannot be read.
    const isLost = ports.store.list().includes(home);
    if (isLost) ports.tell({ type: "log", level: "error", text: `home address ${home}: what was kept of its binding cannot be used. It starts without: only the newest epoch may register, by message ids from now on.` });
    const role = new HomeAgentRole(isLost ? newHomeAfterLoss(service, mono, wall) : newHomeAgent(service, mono), ports);
    role.update(config);
    return role;
  }

  /** What a run before this one has kept: tunnel and defence go on at once, registrations wait for the manager's keys. Undefined, and told, when it cannot be used. */
  static restore(home: Address, ports: HomePorts): HomeAgentRole | undefined {
    let step: ReturnType<typeof restoreHome>;
    try {
      step = restoreHome(home, ports.store.load(home), ports.clock.mono(), ports.clock.wall());
    } catch (error) {
      const text = `home address ${home}: what was kept of its binding cannot be used: ${(error as Error).message}`;
      ports.tell({ type: "log", level: "error", text });
      return undefined;
    }
    const role = new HomeAgentRole(step.state, ports);
    role.#attempt(() => role.#machine.take(step));
    const { state } = role.#machine;
    if (state.phase === "registered") ports.tell({ type: "log", level: "info", text: `home address ${home}: bound to ${state.careOf} as before, for ${Math.round((state.expiresAt - ports.clock.mono()) / 1000)} s` });
    return role;
  }

  /** New keys or limits; the binding stays. Throws AgentError when nobody could register any more. */
  update(config: HomeConfig): void {
    const service = serviceOf(config, this.#ports);
    const newest = Math.max(...service.associations.map(({ spi }) => spi));
    const { newestSpi } = this.#machine.state;
    if (newest < newestSpi) throw new AgentError("old-epoch", `home address ${this.#home}: SPI ${newestSpi} has registered, so keys up to SPI ${newest} are refused for ever; give those of a newer epoch, or retire the home address first`);
    this.#machine.input({ kind: "configure", service });
  }

  onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array): void {
    this.#give({ kind: "packet", packet, mobilityHeader, wall: this.#ports.clock.wall(), prefixValidMs: this.#prefixValidMs() });
  }

  get isRegistered(): boolean {
    return this.#machine.state.phase === "registered";
  }

  inspect(): Record<string, unknown> {
    const { state } = this.#machine;
    const common = { home: this.#home, phase: state.phase, homeLink: state.service.onLink ? "onLink" : "routed", defence: this.#link.phase };
    if (state.phase !== "registered") return common;
    const { careOf, sequence, expiresAt, spi } = state;
    return { ...common, careOf, sequence, spi, forMs: expiresAt - this.#ports.clock.mono() };
  }

  /** The agent ends: nothing is left in this host's network, the binding is kept for the next start. */
  close(): void {
    this.#machine.end();
    const { state } = this.#machine;
    if (state.phase === "registered") this.#ports.plane.untunnel(this.#home);
    this.#link.undefend();
  }

  /** The home address is given up. */
  retire(): void {
    this.#machine.input({ kind: "retire" });
    this.#machine.end();
    this.#link.undefend();
  }

  /** Looked up at most once a second, whoever asks how often. */
  #prefixValidMs(): number {
    if (!this.#machine.state.service.onLink) return Infinity;
    const now = this.#ports.clock.mono();
    if (!this.#prefix || now - this.#prefix.at >= prefixLookUpMs) this.#prefix = { at: now, endsAt: now + (this.#ports.links.prefixValidMs(this.#home) ?? 0) };
    return Math.max(0, this.#prefix.endsAt - now);
  }

  #give(input: HomeAgentInput): void {
    this.#attempt(() => this.#machine.input(input));
  }

  /** A tunnel that cannot be made (no route, a device that is gone) is told, and nothing is acknowledged. */
  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      const { message } = error as Error;
      this.#ports.tell({ type: "log", level: "error", text: `home address ${this.#home}: ${message}` });
      this.#machine.input({ kind: "failed", reason: message });
    }
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "checkDuplicate":
        return this.#link.check();
      case "defend":
        return this.#link.defend();
      case "undefend":
        return this.#link.undefend();
      default:
        return perform(effect, this.#ports);
    }
  }

  /** Before anything is answered: a binding that was acknowledged is one that a restart keeps. A disk that fails is told once, and tried again. */
  #save(state: HomeAgent): void {
    const before = this.#saved;
    const same = before !== null && before.phase === state.phase && before.newestSpi === state.newestSpi && before.newestTimestamp === state.newestTimestamp && before.service === state.service;
    if (same && !this.#unsaved) return;
    this.#saved = state;
    try {
      this.#ports.store.save(this.#home, saveHome(state, this.#ports.clock.mono(), this.#ports.clock.wall()));
      this.#unsaved = false;
    } catch (error) {
      if (!this.#unsaved) this.#ports.tell({ type: "log", level: "error", text: `home address ${this.#home}: its binding cannot be kept for a restart: ${(error as Error).message}` });
      this.#unsaved = true;
    }
  }
}

/** Throws AgentError when the home address is said to be on the link, and is not. */
function serviceOf(config: HomeConfig, ports: HomePorts): HomeService {
  const home = parseAddress(config.homeAddress);
  const covered = ports.links.prefixValidMs(home) !== undefined;
  if (config.homeLink === "onLink" && !covered) throw new AgentError("not-on-link", `home address ${home}: no prefix of the data interface covers it; give the interface an address in its prefix, or route the prefix here`);
  return {
    home,
    associations: config.associations.map(({ spi, key }) => ({ spi, key: new Uint8Array(Buffer.from(key, "base64")) })),
    maxLifetimeSeconds: config.maxLifetimeSeconds,
    onLink: config.homeLink === "onLink" || (config.homeLink === "auto" && covered),
  };
}
