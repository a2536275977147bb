import type { AgentEventBody } from "../src-shared/api/events.ts";
import { formatAddress, type Address } from "../src-shared/net/address.ts";
import type { Millis } from "../src-shared/protocol/core/step.ts";
import { takeToken, tokenBucket, type TokenBucket } from "../src-shared/protocol/core/tokenBucket.ts";
import { describe } from "../src-shared/protocol/wire/describe.ts";
import { NEXT_HEADER_AT, NextHeader } from "../src-shared/protocol/wire/ipv6.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { decodePacket } from "../src-shared/protocol/wire/packet.ts";
import type { Answers, WayOut } from "./answers.ts";
import type { Drops } from "./drops.ts";
import type { HomeAgentRole } from "./homeAgent/role.ts";
import type { Membership } from "./membership.ts";
import type { MessageTeller } from "./messageTeller.ts";
import type { PeerErrors } from "./peerErrors.ts";
import type { Clock } from "./ports.ts";
import type { CorrespondentRole, RegistrationRole } from "./roles.ts";

/** What this host is at the moment. */
export interface HostRoles {
  /** By group id. */
  readonly groups: ReadonlyMap<string, Membership>;
  readonly registrations: ReadonlyMap<string, RegistrationRole>;
  /** By the home address that it serves as home agent. */
  readonly homes: ReadonlyMap<Address, HomeAgentRole>;
  readonly correspondent: () => CorrespondentRole | null;
}

export interface IncomingPorts {
  readonly own: Address;
  readonly clock: Clock;
  readonly answers: Answers;
  readonly peerErrors: PeerErrors;
  readonly drops: Drops;
  readonly messages: MessageTeller;
  readonly tell: (event: AgentEventBody) => void;
}

/** Errors of our own that are told in full; all are counted. */
const toldErrors = { perSecond: 1, burst: 10 };

/** Signalling from the wire: decodes it, answers what is malformed, and finds the role that it is for. */
export class Incoming {
  readonly #roles: HostRoles;
  readonly #ports: IncomingPorts;
  #errors: TokenBucket;

  constructor(roles: HostRoles, ports: IncomingPorts) {
    this.#roles = roles;
    this.#ports = ports;
    this.#errors = tokenBucket(toldErrors, ports.clock.mono());
  }

  /** Every packet with a Mobility Header that reaches this host. Nothing in it can make this throw. */
  onPacket(bytes: Uint8Array, at: Millis): void {
    this.#ports.answers.received(bytes.length);
    const decoded = decodePacket(bytes);
    if (!decoded.ok) {
      this.#ports.drops.add(decoded.reason, undefined, decoded.field);
      const { answer } = decoded;
      if (answer) this.#guarded("answer", () => this.#ports.answers.give(answer, (source) => this.#wayOut(source, tunnelOf(bytes))));
      return;
    }
    const { packet, mobilityHeader } = decoded;
    if (!this.#isForUs(packet)) return; // passing through a home agent's tunnel: the data plane's business
    this.#guarded(describe(packet), () => this.#route(packet, mobilityHeader, at));
    this.#ports.messages.received(packet, at, this.#ports.clock.mono());
  }

  /** An ICMPv6 error, from its outermost IPv6 header on. */
  onError(bytes: Uint8Array): void {
    this.#guarded("ICMPv6 error", () => this.#ports.peerErrors.onIcmpError(bytes));
  }

  /** Nothing from the wire ends the agent, or fills its log. */
  #guarded(what: string, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#ports.drops.add("internal error", undefined, (error as Error).message);
      const { bucket, taken } = takeToken(this.#errors, this.#ports.clock.mono());
      this.#errors = bucket;
      if (taken) this.#ports.tell({ type: "log", level: "error", text: `${what}: ${(error as Error).stack ?? String(error)}`.slice(0, 4000) });
    }
  }

  /**
   * How an answer from `source` leaves, when what it is about came in `tunnel` (null: in none): directly from our own address, and through the contact's
   * home tunnel from an anycast address.
   */
  #wayOut(source: Address, tunnel: Address | null): WayOut {
    const own = this.#ports.own;
    if (source === own) return tunnel === null ? {} : null;
    const group = this.#groupFor(source);
    return group?.isContact && tunnel === group.view.homeAgent ? { tunnel: { source: own, destination: group.view.homeAgent } } : null;
  }

  #isForUs(packet: MobilityPacket): boolean {
    const own = this.#ports.own;
    if (packet.tunnel) return packet.tunnel.destination === own && [...this.#roles.groups.values()].some((g) => g.view.home === packet.destination);
    return packet.destination === own;
  }

  #route(packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis): void {
    const { message } = packet;
    switch (message.kind) {
      case "homeTestInit":
      case "careOfTestInit":
        return this.#toCorrespondent(packet, mobilityHeader);
      case "bindingUpdate": {
        if (!message.homeRegistration) return this.#toCorrespondent(packet, mobilityHeader);
        const home = packet.homeAddress && this.#roles.homes.get(packet.homeAddress);
        if (home) return home.onPacket(packet, mobilityHeader);
        return this.#toCorrespondent(packet, mobilityHeader);
      }
      case "bindingAcknowledgement": {
        const group = this.#groupFor(packet.routingHomeAddress);
        if (!group) return this.#ports.drops.add("binding acknowledgement for a home address that is not ours", packet);
        const registration = this.#roles.registrations.get(group.config.id);
        if (registration && packet.source === group.view.homeAgent) return registration.onPacket(packet, mobilityHeader);
        return group.runtime.onPacket(packet, mobilityHeader, at);
      }
      case "homeTest": {
        const group = this.#groupFor(packet.destination);
        if (!group) return this.#ports.drops.add("home test for a home address that is not ours", packet);
        return group.runtime.onPacket(packet, mobilityHeader, at);
      }
      case "careOfTest": {
        // A care-of test names no home address: every group whose member awaits one from this client may want it.
        const group = [...this.#roles.groups.values()].find((g) => g.runtime.awaitsCareOfTest(packet.source));
        if (!group) return this.#ports.drops.add("care-of test not awaited", packet);
        return group.runtime.onPacket(packet, mobilityHeader, at);
      }
      case "bindingRefreshRequest": {
        const group = this.#groupFor(packet.destination);
        if (!group) return this.#ports.drops.add("binding refresh request for a home address that is not ours", packet);
        return group.runtime.onPacket(packet, mobilityHeader, at);
      }
      case "bindingError":
        return this.#ports.peerErrors.onBindingError(packet, message);
    }
  }

  #groupFor(home: Address | undefined): Membership | undefined {
    return [...this.#roles.groups.values()].find((g) => g.view.home === home);
  }

  #toCorrespondent(packet: MobilityPacket, mobilityHeader: Uint8Array): void {
    const correspondent = this.#roles.correspondent();
    if (!correspondent) return this.#ports.drops.add("this host is no correspondent node", packet);
    correspondent.onPacket(packet, mobilityHeader);
  }
}

/** Where the tunnel begins that a packet came in, or null. */
function tunnelOf(packet: Uint8Array): Address | null {
  return packet[NEXT_HEADER_AT] === NextHeader.ipv6 ? formatAddress(packet, 8) : null;
}
