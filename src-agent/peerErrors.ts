import type { Address } from "../src-shared/net/address.ts";
import { readIcmpReport, type IcmpReport } from "../src-shared/protocol/core/icmpReport.ts";
import type { BindingError, MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import type { Membership } from "./membership.ts";
import type { CorrespondentRole } from "./roles.ts";

export interface PeerErrorsPorts {
  readonly own: Address;
  readonly groups: () => readonly Membership[];
  readonly correspondent: () => CorrespondentRole | null;
  readonly drop: (reason: string, packet?: MobilityPacket) => void;
}

/** Finds whom an ICMPv6 error or a Binding Error concerns (RFC 6275 §9.3.4, §11.3.5, §11.3.6). What becomes of it is for the machines to say: none of it is signed. */
export class PeerErrors {
  readonly #ports: PeerErrorsPorts;

  constructor(ports: PeerErrorsPorts) {
    this.#ports = ports;
  }

  /** `bytes` from the outermost IPv6 header on. */
  onIcmpError(bytes: Uint8Array): void {
    const report = readIcmpReport(bytes);
    // Others are about packets that have nothing to do with us, or pass through a home agent's tunnel.
    if (report && (report.tunnel ? report.tunnel.destination : report.own) === this.#ports.own) this.#onReport(report);
  }

  #onReport(report: IcmpReport): void {
    if (report.about === "mobilityHeader") {
      const group = this.#askedBy(report.client, report.own, report.home);
      if (!group) return;
      if (report.tunnel && report.tunnel.source !== group.view.homeAgent) return this.#ports.drop("ICMPv6 error outside the home tunnel");
      return group.runtime.onNotCapable(report.client, report.cookie ?? null);
    }
    if (report.tunnel) return;
    if (report.about === "binding") this.#ports.correspondent()?.onUnreachable(report.home, report.careOf);
    else this.#groupFor(report.home)?.runtime.onBindingLost(report.client, "homeAddressOption");
  }

  /** Status 1 comes to where the Home Address option came from, status 2 to where the unknown message came from. */
  onBindingError(packet: MobilityPacket, { status, homeAddress }: BindingError): void {
    const client = packet.source;
    if (status === 1) {
      const group = packet.tunnel ? undefined : this.#groupFor(homeAddress);
      if (!group) return this.#ports.drop("binding error about a home address that is not ours", packet);
      return group.runtime.onBindingLost(client, "unbound");
    }
    const group = this.#askedBy(client, packet.destination, homeAddress);
    if (status !== 2 || !group) return this.#ports.drop("binding error about nothing that we sent", packet);
    if (packet.tunnel && packet.tunnel.source !== group.view.homeAgent) return this.#ports.drop("binding error outside the home tunnel", packet);
    group.runtime.onNotCapable(client, null);
  }

  /** The group that asked `client` something from `own`: X for home tests, our care-of address for the rest, where `home` or what they await tells groups apart. */
  #askedBy(client: Address, own: Address, home: Address | undefined): Membership | undefined {
    return this.#groupFor(home) ?? this.#groupFor(own) ?? this.#ports.groups().find((group) => group.runtime.awaitsCareOfTest(client));
  }

  #groupFor(home: Address | undefined): Membership | undefined {
    return this.#ports.groups().find((group) => group.view.home === home);
  }
}
