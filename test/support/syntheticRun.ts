import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HandoffMode, HandoffStepName } from "../../src-shared/api/handoff.ts";
import type { RunDescription } from "../../src-shared/api/summary.ts";
import { addressBytes, type Address } from "../../src-shared/net/address.ts";
import { enhancedPacket, interfaceDescription, interfaceStatistics, sectionHeader, timeHalves } from "../../src-shared/pcapng/write.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { encodePacket } from "../../src-shared/protocol/wire/packet.ts";
import { mergeCaptureFiles } from "../../src-main/capture/merge.ts";
import { predictedSteps } from "../../src-main/report/steps.ts";
import { RunFolder } from "../../src-main/report/run-folder.ts";

/**
 * A run that never was: events, captures and clients' logs as a lab would leave them, made from latencies by the message ladder of
 * docs/protocol.md. Each host has clocks of its own. Tests know exactly what the figures must be, and can spoil single things.
 */

export const addresses = { h: "2001:db8:1::10", k: "2001:db8:2::10", a: "2001:db8:3::10", c: "2001:db8:4::10" } as Readonly<Record<"h" | "k" | "a" | "c", Address>>;
export const home = "2001:db8:f::1" as Address;
type Host = keyof typeof addresses;

/** How far each host's clocks are ahead of the manager's, ms. */
const clocks: Readonly<Record<Host, { readonly mono: number; readonly wall: number }>> = { h: { mono: 1_000_000, wall: 3 }, k: { mono: 2_000_037, wall: -40 }, a: { mono: 3_000_074, wall: 250 }, c: { mono: 4_000_111, wall: 0 } };
const zero = { mono: 5_000, wall: 1_764_000_000_000 };

export interface SyntheticHandoff {
  readonly mode: HandoffMode;
  /** One-way latencies, ms. */
  readonly latencies: { readonly L_KH: number; readonly L_HC: number; readonly L_DA: number; readonly L_AC: number; readonly L_DC: number };
  readonly point?: Readonly<Record<string, number | string>>;
}

export interface SyntheticOptions {
  readonly handoffs: readonly SyntheticHandoff[];
  readonly scenario: string;
  /** Added to what the agents tell of a step, ms: a lie, or a late clock reading. */
  readonly told?: (handoff: number, step: HandoffStepName) => number;
  /** Own time of a node between two messages, ms. */
  readonly processing?: number;
  readonly echoPeriodMs?: number;
  /** Added to the client's claim of received bytes. */
  readonly extraBytes?: number;
  /** The donor sends ten new bytes this long after the freeze. */
  readonly lateDonorMs?: number;
}

/** Builds the folder at `path`, all but what `finishRun` makes of it. */
export async function syntheticRun(path: string, options: SyntheticOptions): Promise<RunFolder> {
  mkdirSync(path, { recursive: true });
  const folder = await RunFolder.at(path);
  const world = new World(options);
  world.play();
  await folder.write("scenario", options.scenario);
  writeFileSync(folder.file("events"), world.events.sort((x, y) => x.at - y.at).map((line) => `${JSON.stringify(line)}\n`).join(""));
  writeFileSync(folder.clientLog("chat.jsonl"), world.clientLog().map((line) => `${JSON.stringify(line)}\n`).join(""));
  await folder.writeRun(describe());
  await mergeCaptureFiles(world.writeCaptures(path), folder.file("capture"));
  await folder.removeParts();
  return folder;
}

function describe(): RunDescription {
  const roles = { h: "homeAgent", k: "member", a: "member", c: "client" } as const;
  return {
    schema: "anycast-lab/run/1",
    scenario: "synthetic",
    title: "Synthetic",
    command: "none",
    startedAt: new Date(zero.wall).toISOString(),
    zero,
    seed: 1,
    versions: { "anycast-lab": "0" },
    manager: { node: "v24", platform: "linux", kernel: "6", cpus: 2, memoryMB: 1000 },
    lab: { name: "synthetic", kind: "local" },
    group: { id: "g", address: home, homeAgent: "h", contact: "k", members: ["k", "a"], memberPort: 7135 },
    hosts: (Object.keys(addresses) as Host[]).map((name) => ({
      name,
      site: null,
      address: addresses[name],
      interface: "eth0",
      role: roles[name],
      kernel: "6.1",
      agent: "0",
      dataPlane: { kind: "ebpf", reason: "test" },
      clock: [{ at: 0, monoOffsetMs: clocks[name].mono, wallOffsetMs: clocks[name].wall, errorMs: 0.05 }],
    })),
  };
}

interface Taken {
  readonly at: number;
  readonly out: boolean;
  readonly packet: Uint8Array;
}

const clientPort = 40_000;
const cookie = Uint8Array.from({ length: 8 }, (_, i) => i + 1);
const token = Uint8Array.from({ length: 8 }, (_, i) => i + 101);

class World {
  readonly events: { at: number; errorMs: number; host: string; mono: number; wall: number; sequence: number; body: Record<string, unknown> }[] = [];
  readonly #taken: Record<Host, Taken[]> = { h: [], k: [], a: [], c: [] };
  readonly #options: SyntheticOptions;
  readonly #processing: number;
  readonly #period: number;
  readonly #lines: [number, number, number][] = [];
  #serving: { readonly member: Host; readonly latency: number } = { member: "k", latency: 10 };
  readonly #received: [at: number, bytes: number][] = [];
  #nextLineAt = 500.0137;
  #now = 1000;
  #bytes = 0;
  #linkSequence = 0xffff_ff00;

  constructor(options: SyntheticOptions) {
    this.#options = options;
    this.#processing = options.processing ?? 0.2;
    this.#period = options.echoPeriodMs ?? 50;
  }

  play(): void {
    this.#manager({ type: "workloadStarted", workload: "chat", kind: "echo", client: "c", log: "chat.jsonl", expectedBytes: null, expectedSha256: null });
    this.#agent("k", { type: "clientServed", home, client: addresses.c, member: "k", how: "optimised", why: "asked" });
    this.#options.handoffs.forEach((handoff, i) => this.#handoff(handoff, i));
    this.#now += 3000;
    this.#echo(this.#now - 1500);
    this.#manager({ type: "workloadEnded", workload: "chat", exit: 0 });
    this.#manager({ type: "runEnded" });
  }

  #handoff({ mode, latencies, point = {} }: SyntheticHandoff, index: number): void {
    const { L_KH, L_HC, L_DA, L_AC, L_DC } = latencies;
    const id = `h${index + 1}`;
    const own = this.#processing;
    this.#now += 3000;
    const decided = this.#now;
    this.#manager({ type: "handoffRequested", handoff: id, client: "c", clientAddress: addresses.c, contact: "k", donor: "k", acceptor: "a", mode, counts: true, point, repetition: 0, progress: {}, latencies: { k: { ...latencies, L_KD: 0 } } });
    const instants: Partial<Record<HandoffStepName, number>> = { decided };
    let at = decided + own;
    if (mode === "full") {
      instants.homeTestInit = at;
      const init: MobilityPacket = { source: home, destination: addresses.c, message: { kind: "homeTestInit", cookie, options: [] } };
      this.#mobility({ ...init, tunnel: { source: addresses.k, destination: addresses.h } }, "k", "h", at, L_KH);
      this.#mobility(init, "h", "c", at + L_KH, L_HC);
      const test: MobilityPacket = { source: addresses.c, destination: home, message: { kind: "homeTest", nonceIndex: 1, cookie, token, options: [] } };
      this.#mobility(test, "c", "h", at + L_KH + L_HC, L_HC);
      this.#mobility({ ...test, tunnel: { source: addresses.h, destination: addresses.k } }, "h", "k", at + L_KH + 2 * L_HC, L_KH);
      at += 2 * (L_KH + L_HC);
      instants.homeTest = at;
      at += own;
    }
    // The offer, and the freeze: together in `prepared`; the state comes behind.
    instants.stateSent = at;
    this.#link(at, 300, L_DA);
    const frozenAt = mode === "full" ? at + own : at;
    instants.frozen = frozenAt;
    if (mode === "full") this.#link(frozenAt, 40, L_DA);
    this.#link(frozenAt + own, 700, L_DA);
    at += L_DA;
    instants.stateReceived = at;
    const exchange = (asked: HandoffStepName, answered: HandoffStepName, ask: MobilityPacket["message"], answer: MobilityPacket["message"]) => {
      at += own;
      instants[asked] = at;
      const update = ask.kind === "bindingUpdate";
      this.#mobility({ source: addresses.a, destination: addresses.c, ...(update && { homeAddress: home }), message: ask }, "a", "c", at, L_AC);
      this.#mobility({ source: addresses.c, destination: addresses.a, ...(update && { routingHomeAddress: home }), message: answer }, "c", "a", at + L_AC, L_AC);
      at += 2 * L_AC;
      instants[answered] = at;
    };
    exchange("careOfTestInit", "careOfTest", { kind: "careOfTestInit", cookie, options: [] }, { kind: "careOfTest", nonceIndex: 2, cookie, token, options: [] });
    const signature = { kind: "bindingAuthorization", authenticator: new Uint8Array(12).fill(7) } as const;
    exchange(
      "bindingUpdate",
      "bindingAcknowledgement",
      { kind: "bindingUpdate", sequence: index + 1, acknowledge: true, homeRegistration: false, linkLocalCompatibility: false, keyManagement: false, lifetimeUnits: 105, options: [{ kind: "nonceIndices", home: 1, careOf: 2 }, signature] },
      { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: index + 1, lifetimeUnits: 105, options: [signature] },
    );
    instants.restored = at;
    at += own;
    instants.firstPacket = at;
    this.#echo(frozenAt);
    if (this.#options.lateDonorMs !== undefined) this.#segment("k", "c", frozenAt + this.#options.lateDonorMs, L_DC, { fromHome: true, via: "k", sequence: this.#bytes, length: 10 });
    this.#segment("a", "c", at, L_AC, { fromHome: true, via: "a", sequence: this.#bytes, length: 0 });
    // The client hears nothing from the freeze on; its next line goes out when it has heard the acceptor.
    this.#serving = { member: "a", latency: L_AC };
    this.#nextLineAt = at + L_AC;
    this.#tell(id, mode, instants, index);
    this.#manager({ type: "handoffAnswered", handoff: id, failure: null }, at + 1);
    this.#now = at;
    // Back without ceremony: for what follows the client is served by k again.
    this.#echo(at + 1500);
    this.#serving = { member: "k", latency: L_DC };
    this.#nextLineAt = Math.max(this.#nextLineAt, (this.#lines.at(-1)?.[2] ?? 0) + 0.01);
    this.#now = at + 1500;
  }

  #tell(handoff: string, mode: HandoffMode, instants: Partial<Record<HandoffStepName, number>>, index: number): void {
    const at = (step: HandoffStepName): Host => (["careOfTestInit", "careOfTest", "bindingUpdate", "bindingAcknowledgement", "stateReceived", "restored", "firstPacket"].includes(step) ? "a" : "k");
    for (const [step, time] of Object.entries(instants) as [HandoffStepName, number][]) {
      const told = time + (this.#options.told?.(index, step) ?? 0);
      const host = at(step);
      this.#agent(host, { type: "handoffStep", handoff, home, client: addresses.c, donor: "k", acceptor: "a", mode, step, at: told + zero.mono + clocks[host].mono, connections: 1, bytes: 700 }, time + 2);
    }
    this.#agent("k", { type: "handoffDone", handoff, home, client: addresses.c, donor: "k", acceptor: "a", mode, connections: 1, drainMs: 0, bytes: 700 }, (instants.firstPacket as number) + 3);
  }

  /** Echo lines from where they stopped until `until`, each answered at once by whoever serves. */
  #echo(until: number): void {
    const { member, latency } = this.#serving;
    if (this.#lines.length === 0) this.#handshake(470, latency);
    for (; this.#nextLineAt + 2 * latency < until; this.#nextLineAt += this.#period) {
      const at = this.#nextLineAt;
      const text = `${this.#lines.length}\n`;
      this.#segment("c", member, at, latency, { fromHome: false, via: member, sequence: this.#bytes, length: text.length });
      this.#segment(member, "c", at + latency, latency, { fromHome: true, via: member, sequence: this.#bytes, length: text.length });
      this.#bytes += text.length;
      this.#received.push([at + 2 * latency, this.#bytes]);
      this.#lines.push([this.#lines.length, at, at + 2 * latency]);
      this.#segment("c", member, at + 2 * latency, latency, { fromHome: false, via: member, sequence: this.#bytes, length: 0 });
    }
  }

  /** How much of its stream the client has at a time: what it acknowledges. */
  #receivedBy(at: number): number {
    return this.#received.findLast(([when]) => when <= at)?.[1] ?? 0;
  }

  #handshake(at: number, latency: number): void {
    this.#segment("c", "k", at, latency, { fromHome: false, via: "k", sequence: -1, length: 0, syn: true });
    this.#segment("k", "c", at + latency, latency, { fromHome: true, via: "k", sequence: -1, length: 0, syn: true });
  }

  clientLog(): Record<string, unknown>[] {
    const mono = (at: number) => at + zero.mono + clocks.c.mono;
    const bytes = this.#bytes + (this.#options.extraBytes ?? 0);
    return [
      { type: "start", workload: "echo", mono: mono(480), wall: 0, localPort: clientPort, periodMs: this.#period },
      { type: "lines", lines: this.#lines.map(([n, sent, received]) => [n, mono(sent), mono(received)]) },
      { type: "end", mono: mono(this.#now), ok: true, reason: null, sent: this.#lines.length, received: this.#lines.length, repeated: 0, corrupted: 0, lost: 0, missing: [], bytes },
    ];
  }

  writeCaptures(path: string): { host: string; file: string; correctionMs: number }[] {
    return (Object.keys(addresses) as Host[]).map((host) => {
      const file = join(path, `${host}.part`);
      const blocks = [sectionHeader({ application: "test" }), interfaceDescription({ name: host, snaplen: 0 })];
      for (const { at, out, packet } of this.#taken[host].sort((x, y) => x.at - y.at)) {
        const ms = at + zero.wall + clocks[host].wall;
        const seconds = Math.floor(ms / 1000);
        const frame = Buffer.concat([Buffer.from("02000000000202000000000186dd", "hex"), packet]);
        blocks.push(enhancedPacket({ interface: 0, ...timeHalves(seconds, Math.round((ms - seconds * 1000) * 1e6)), originalLength: frame.length, direction: out ? "out" : "in" }, frame));
      }
      blocks.push(interfaceStatistics({ interface: 0, timeNs: 0n, received: this.#taken[host].length, dropped: 0 }));
      writeFileSync(file, Buffer.concat(blocks));
      return { host, file, correctionMs: -clocks[host].wall };
    });
  }

  #travel(packet: Uint8Array, from: Host, to: Host, at: number, latency: number): void {
    this.#taken[from].push({ at, out: true, packet });
    this.#taken[to].push({ at: at + latency, out: false, packet });
  }

  #mobility(packet: MobilityPacket, from: Host, to: Host, at: number, latency: number): void {
    this.#travel(encodePacket(packet), from, to, at, latency);
  }

  /** TLS between donor and acceptor; its sequence numbers run over 2^32 on the way. */
  #link(at: number, length: number, latency: number): void {
    this.#travel(ipv6(addresses.k, addresses.a, 6, tcp(50_000, 7135, this.#linkSequence >>> 0, 1, 0x18, length)), "k", "a", at, latency);
    this.#linkSequence += length;
  }

  /** A segment of the client's connection, route-optimised between the client and member `via`. */
  #segment(from: Host, to: Host, at: number, latency: number, segment: { readonly fromHome: boolean; readonly via: Host; readonly sequence: number; readonly length: number; readonly syn?: boolean }): void {
    const flags = segment.syn ? (segment.fromHome ? 0x12 : 0x02) : 0x18;
    const header = segment.fromHome ? tcp(7, clientPort, (9000 + segment.sequence) >>> 0, (5000 + this.#bytes) >>> 0, flags, segment.length) : tcp(clientPort, 7, (5000 + segment.sequence) >>> 0, (9000 + this.#receivedBy(at)) >>> 0, flags, segment.length);
    const careOf = addresses[segment.via];
    const packet = segment.fromHome
      ? ipv6(careOf, addresses.c, 60, Buffer.concat([Buffer.from([6, 2, 1, 2, 0, 0, 201, 16]), addressBytes(home), header]))
      : ipv6(addresses.c, careOf, 43, Buffer.concat([Buffer.from([6, 2, 2, 1, 0, 0, 0, 0]), addressBytes(home), header]));
    this.#travel(packet, from, to, at, latency);
  }

  #agent(host: Host, body: Record<string, unknown>, at = this.#now): void {
    this.events.push({ at, errorMs: 0.05, host, mono: at + zero.mono + clocks[host].mono, wall: at + zero.wall + clocks[host].wall, sequence: this.events.length, body });
  }

  #manager(body: Record<string, unknown>, at = this.#now): void {
    this.events.push({ at, errorMs: 0, host: "", mono: at + zero.mono, wall: at + zero.wall, sequence: this.events.length, body });
  }
}

function ipv6(source: Address, destination: Address, next: number, payload: Uint8Array): Uint8Array {
  const packet = Buffer.alloc(40 + payload.length);
  packet[0] = 0x60;
  packet.writeUInt16BE(payload.length, 4);
  packet[6] = next;
  packet[7] = 64;
  packet.set(addressBytes(source), 8);
  packet.set(addressBytes(destination), 24);
  packet.set(payload, 40);
  return packet;
}

function tcp(source: number, destination: number, sequence: number, acknowledgement: number, flags: number, length: number): Buffer {
  const segment = Buffer.alloc(20 + length);
  segment.writeUInt16BE(source, 0);
  segment.writeUInt16BE(destination, 2);
  segment.writeUInt32BE(sequence >>> 0, 4);
  segment.writeUInt32BE(acknowledgement >>> 0, 8);
  segment[12] = 0x50;
  segment[13] = flags;
  segment.writeUInt16BE(1000, 14);
  return segment;
}

/** What a synthetic handoff must measure, ms: the prediction plus the nodes' own time. */
export function syntheticMeasured({ mode, latencies }: SyntheticHandoff, processing = 0.2): number {
  const steps = predictedSteps(mode, { ...latencies, L_KD: 0 });
  const pauses = mode === "full" ? 4 : 3;
  return steps.reduce((sum, step) => sum + step.predictedMs, 0) + pauses * processing;
}

export const syntheticScenario = `name: synthetic
lab: none
group:
  id: g
  address: ${home}
  homeAgent: h
  members: [k, a]
  contact: k
  services: [{ kind: echo, name: talk, port: 7 }]
clients: [c]
workloads: [{ kind: echo, name: chat, client: c, service: talk, period: 50 ms }]
steps: [{ start: chat }]
thresholds:
  - { name: gap, metric: max(clientGapMs), atMost: 1000, unit: ms }
  - { name: echo, metric: lost(echoes), equals: 0 }
`;
