import { createReadStream } from "node:fs";
import type { RunDescription } from "../../src-shared/api/summary.ts";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { PcapngReader, type CapturedPacket } from "../../src-shared/pcapng/read.ts";
import type { MobilityMessage } from "../../src-shared/protocol/wire/message.ts";
import { decodePacket } from "../../src-shared/protocol/wire/packet.ts";
import { readFrame, readTcp, type Frame, type TcpHeader } from "../capture/frame.ts";
import { hostClocks, type HostClock } from "./clock.ts";
import { Column } from "./columns.ts";
import { PassedOn } from "./passed-on.ts";
import { ConnectionGatherer, type ConnectionFacts, type PacketPath } from "./connection-facts.ts";

/** A Mobility Header message where one host's capture saw it. `at` is run time; `packet` its position in the file, from 0. */
export interface SignallingFact {
  readonly packet: number;
  readonly host: string;
  readonly direction: "in" | "out";
  readonly at: number;
  readonly message: MobilityMessage;
  readonly source: Address;
  readonly destination: Address;
  readonly homeAddress: Address | null;
  readonly tunnelled: boolean;
}

/** A segment with payload on the link between two members. */
export interface LinkFact {
  readonly packet: number;
  readonly host: string;
  readonly direction: "in" | "out";
  readonly at: number;
  readonly source: Address;
  readonly destination: Address;
  readonly ports: string;
  readonly sequence: number;
  readonly length: number;
}

/** Segments from X to one client that left one member by itself (not passed on for another): when, which in the file. */
export interface DepartureFacts {
  readonly at: Column;
  readonly packet: Column;
  /** Times of those that carried bytes which had not left any member before. */
  readonly freshAt: Column;
}

/** What a capture shows, and nothing else than what it shows. */
export interface CaptureFacts {
  readonly packets: number;
  readonly hosts: readonly string[];
  readonly signalling: readonly SignallingFact[];
  /** Mobility Header packets that our decoder refuses, with the reason. */
  readonly undecodable: readonly { readonly packet: number; readonly host: string; readonly reason: string }[];
  readonly links: readonly LinkFact[];
  /** By `connectionKey`. */
  readonly connections: ReadonlyMap<string, ConnectionFacts>;
  /** By `departureKey`. */
  readonly departures: ReadonlyMap<string, DepartureFacts>;
  /** Packets that the hosts' kernels could not keep; hosts that did not say are absent. */
  readonly drops: Readonly<Record<string, number>>;
}

export const connectionKey = (client: Address, clientPort: number, port: number) => `${client} ${clientPort} ${port}`;
export const departureKey = (member: string, client: Address) => `${member} ${client}`;

/** Reads a run's capture. Rejects with PcapngError when it can't be read. */
export async function readFacts(file: string, run: RunDescription): Promise<CaptureFacts> {
  const gatherer = new FactGatherer(run);
  const reader = new PcapngReader();
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    for (const block of reader.push(chunk as Buffer)) {
      if (block.kind === "interface") gatherer.addInterface(block.interface.name);
      else if (block.kind === "packet") gatherer.addPacket(block.packet);
      else if (block.kind === "statistics") gatherer.addDrops(block.interface, block.dropped);
    }
  }
  reader.end();
  return gatherer;
}

type Role = RunDescription["hosts"][number]["role"];

interface Tap {
  readonly host: string;
  readonly address: Address | null;
  readonly role: Role;
  readonly clock: HostClock | null;
}

class FactGatherer implements CaptureFacts {
  packets = 0;
  readonly signalling: SignallingFact[] = [];
  readonly undecodable: { packet: number; host: string; reason: string }[] = [];
  readonly links: LinkFact[] = [];
  readonly connections = new Map<string, ConnectionGatherer>();
  readonly departures = new Map<string, DepartureFacts>();
  readonly drops: Record<string, number> = {};
  readonly #taps: Tap[] = [];
  readonly #passedOn = new PassedOn();
  readonly #run: RunDescription;
  readonly #clocks: ReadonlyMap<string, HostClock>;
  readonly #home: Address;
  readonly #contact: Address | null;
  readonly #members: ReadonlySet<Address>;

  constructor(run: RunDescription) {
    this.#run = run;
    this.#clocks = hostClocks(run);
    this.#home = parseAddress(run.group.address);
    const contact = run.hosts.find((host) => host.name === run.group.contact);
    this.#contact = contact ? parseAddress(contact.address) : null;
    this.#members = new Set(run.hosts.filter((host) => host.role === "member").map((host) => parseAddress(host.address)));
  }

  get hosts(): readonly string[] {
    return this.#taps.map((tap) => tap.host);
  }

  addInterface(name: string): void {
    const host = this.#run.hosts.find((h) => h.name === name);
    this.#taps.push({ host: name, address: host ? parseAddress(host.address) : null, role: host?.role ?? "other", clock: this.#clocks.get(name) ?? null });
  }

  addDrops(index: number, dropped: number | null): void {
    const tap = this.#taps[index];
    if (tap && dropped !== null) this.drops[tap.host] = dropped;
  }

  addPacket(captured: CapturedPacket): void {
    const packet = this.packets++;
    const tap = this.#taps[captured.interface];
    if (!tap?.clock || captured.direction === "unknown") return;
    const frame = readFrame(captured.data, captured.originalLength);
    if (!frame) return;
    const at = tap.clock.fromWall(captured.timeMs);
    const seen = { packet, tap, at, direction: captured.direction };
    if (frame.protocol === 135) return this.#signalling(seen, captured.data.subarray(frame.ipv6At));
    const tcp = readTcp(frame);
    if (tcp) this.#segment(seen, frame, tcp);
  }

  #signalling(seen: Seen, bytes: Uint8Array): void {
    const decoded = decodePacket(bytes);
    const { packet, tap, at, direction } = seen;
    if (!decoded.ok) {
      this.undecodable.push({ packet, host: tap.host, reason: `${decoded.reason} (${decoded.field})` });
      return;
    }
    const { message, source, destination, homeAddress, tunnel } = decoded.packet;
    this.signalling.push({ packet, host: tap.host, direction, at, message, source, destination, homeAddress: homeAddress ?? null, tunnelled: tunnel !== undefined });
  }

  #segment(seen: Seen, frame: Frame, tcp: TcpHeader): void {
    const from = frame.homeAddress ?? frame.source;
    const to = frame.routingHomeAddress ?? frame.destination;
    if (from === this.#home) this.#fromHome(seen, frame, tcp, to);
    else if (to === this.#home) this.#toHome(seen, frame, tcp, from);
    else if (tcp.length > 0 && this.#isLink(frame, tcp)) {
      const { packet, tap, at, direction } = seen;
      this.links.push({ packet, host: tap.host, direction, at, source: frame.source, destination: frame.destination, ports: `${tcp.sourcePort} ${tcp.destinationPort}`, sequence: tcp.sequence, length: tcp.length });
    }
  }

  #isLink(frame: Frame, tcp: TcpHeader): boolean {
    const port = this.#run.group.memberPort;
    return (tcp.sourcePort === port || tcp.destinationPort === port) && frame.tunnel === null && this.#members.has(frame.source) && this.#members.has(frame.destination);
  }

  #fromHome(seen: Seen, frame: Frame, tcp: TcpHeader, client: Address): void {
    const { packet, tap, at, direction } = seen;
    const connection = this.#connection(client, tcp.destinationPort, tcp.sourcePort);
    if (tap.role === "client" && tap.address === client && direction === "in") return connection.arrived(tcp, this.#path(frame.homeAddress ? frame.source : null), at);
    if (tap.role !== "member") return;
    const key = departureKey(tap.host, client);
    const way = `${key} ${tcp.sourcePort} ${tcp.destinationPort}`;
    if (direction === "in") {
      if (frame.tunnel) this.#passedOn.came(way, tcp, at);
      return;
    }
    if (frame.tunnel && this.#passedOn.left(way, tcp, at)) return;
    const fresh = connection.left(tcp, at);
    let departures = this.departures.get(key);
    if (!departures) this.departures.set(key, (departures = { at: new Column(), packet: new Column(), freshAt: new Column() }));
    departures.at.push(at);
    departures.packet.push(packet);
    if (fresh) departures.freshAt.push(at);
  }

  #toHome(seen: Seen, frame: Frame, tcp: TcpHeader, client: Address): void {
    const { tap, at, direction } = seen;
    const connection = this.#connection(client, tcp.sourcePort, tcp.destinationPort);
    if (tap.role === "client" && tap.address === client && direction === "out") connection.sent(tcp, this.#path(frame.routingHomeAddress ? frame.destination : null));
    else if (tap.role === "member" && direction === "in") connection.came(tcp, at);
  }

  #path(careOf: Address | null): PacketPath {
    return careOf === null ? "homeAgent" : careOf === this.#contact ? "contact" : "direct";
  }

  #connection(client: Address, clientPort: number, port: number): ConnectionGatherer {
    const key = connectionKey(client, clientPort, port);
    let connection = this.connections.get(key);
    if (!connection) this.connections.set(key, (connection = new ConnectionGatherer(client, clientPort, port)));
    return connection;
  }
}

interface Seen {
  readonly packet: number;
  readonly tap: Tap;
  readonly at: number;
  readonly direction: "in" | "out";
}
