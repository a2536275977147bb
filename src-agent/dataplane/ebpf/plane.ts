import { type Address, addressBytes, formatAddress } from "../../../src-shared/net/address.ts";
import { takeToken, tokenBucket } from "../../../src-shared/protocol/core/tokenBucket.ts";
import { SystemCallError } from "../../linux/libc.ts";
import { RawSender } from "../../linux/rawSocket.ts";
import type { DataPlane, DataPlaneCounters } from "../../ports.ts";
import { clientKey, ClientStates, stateNumbers, type ClientEntry, type ClientKey, type ClientState } from "../clientStates.ts";
import type { DataPlaneContext } from "../context.ts";
import { counterIndex, nameCounters, type CounterName } from "../counters.ts";
import { errorRate } from "../errorRate.ts";
import { clientOf } from "../errorTarget.ts";
import { bounce, HeldPackets } from "../heldPackets.ts";
import { forSender, forSocket, hopLimitExceeded, tooBigForTunnel, translateError, type TranslatedError } from "../icmpRelay.ts";
import { names } from "../names.ts";
import { ReassembledTunnels } from "../reassembledTunnels.ts";
import { extensionLength, Steering, tunnelLength } from "../steering.ts";
import { AgentEnd, frameOf, type Punted } from "./agentEnd.ts";
import { FragmentedTunnels, type TunnelEnds } from "./fragmentedTunnels.ts";
import { MobilityMaps } from "./maps.ts";
import { Programs, type AttachKind } from "./programs.ts";

interface Home {
  readonly careOf: Address;
  readonly homeAgent: Address;
  readonly via: Address;
}

/** How often packets of unannounced clients are looked at for age, ms. */
const expiryMs = 250;
const tunnelProtocol = 41;
/** Packets taken in one turn of the event loop, so that others get theirs. */
const readsPerTurn = 256;

/** Translation by tc programs (mobility.bpf.c); this class fills their maps and takes care of what they leave to it. */
export class EbpfDataPlane implements DataPlane {
  readonly kind = "ebpf";
  /** How the programs are attached. */
  readonly attached: AttachKind;
  readonly #context: DataPlaneContext;
  readonly #maps: MobilityMaps;
  readonly #programs: Programs;
  readonly #steering: Steering;
  readonly #agentEnd: AgentEnd;
  readonly #sender: RawSender;
  readonly #reassembled: ReassembledTunnels;
  readonly #fragmented: FragmentedTunnels;
  readonly #homes = new Map<Address, Home>();
  readonly #members = new Map<Address, readonly Address[]>();
  readonly #tunnels = new Map<Address, Address>();
  readonly #bindings = new Map<Address, Address>();
  readonly #clients = new ClientStates();
  readonly #held = new HeldPackets<ClientKey, Uint8Array>();
  readonly #ownDrops = new Map<CounterName, number>();
  #errors = tokenBucket(errorRate, performance.now());
  readonly #undo: (() => void)[] = [];
  #locals = new Set<Address>();
  #expiry: NodeJS.Timeout | undefined;
  #bounced = 0;
  #closed = false;
  #onUnbound: (home: Address, careOf: Address, destination: Address) => void = () => {};

  /** Throws, with everything undone, when the kernel or our rights do not allow it. */
  constructor(context: DataPlaneContext, attach?: AttachKind) {
    this.#context = context;
    try {
      this.#maps = this.#own(new MobilityMaps());
      this.#programs = this.#own(new Programs(this.#maps.byName));
      this.#steering = this.#own(new Steering(context.device, { direct: true, kernelTranslates: context.kernelTranslates ?? false, onChange: () => this.#followHost() }));
      this.#sender = this.#own(new RawSender(names.mark));
      this.#agentEnd = this.#own(new AgentEnd(this.#steering, () => this.#readPunted(readsPerTurn)));
      const foreign = "reassembled tunnel packet that is about no home address of ours";
      this.#reassembled = this.#own(new ReassembledTunnels(context.address, (packet) => this.#agentEnd.giveToDevice(packet), () => this.#countOwn(foreign, 1)));
      this.#fragmented = this.#own(new FragmentedTunnels(this.#maps, (packet) => this.#sendRaw(packet), () => this.#writeSettings()));
      this.#writeSettings();
      this.#refreshLocals();
      this.#steering.segmentTunnels();
      this.attached = this.#programs.attach(this.#steering, attach);
      this.#undo.push(() => this.#programs.detach());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  bind(home: Address, careOf: Address): void {
    // Until routes know the next hop, the program asks for it.
    this.#putBinding(home, careOf, false);
    this.#bindings.set(home, careOf);
    if (this.#steering.addDestination(home, careOf, extensionLength)) this.#putBinding(home, careOf, true);
  }

  unbind(home: Address): void {
    if (!this.#bindings.delete(home)) return;
    this.#steering.removeDestination(home);
    this.#maps.bindings.delete(addressBytes(home));
  }

  takeUse(home: Address): boolean {
    const careOf = this.#bindings.get(home);
    if (!careOf) return false;
    const used = this.#wasUsed(home);
    if (used) this.#putBinding(home, careOf, this.#steering.isDirect(home));
    return used;
  }

  tunnel(home: Address, careOf: Address): void {
    if (this.#homes.has(home)) throw new Error(`${home} is served here: its home agent must be another host`);
    this.#maps.tunnels.set(addressBytes(home), addressBytes(careOf));
    this.#tunnels.set(home, careOf);
    this.#reassembled.setTunnel(home, careOf);
    this.#writeSettings();
    this.#steering.addDestination(home, careOf, tunnelLength);
  }

  untunnel(home: Address): void {
    if (!this.#tunnels.delete(home)) return;
    this.#steering.removeDestination(home);
    this.#maps.tunnels.delete(addressBytes(home));
    this.#reassembled.setTunnel(home, null);
    this.#writeSettings();
  }

  addHome(home: Address, options: Home): void {
    if (this.#tunnels.has(home)) throw new Error(`this host is the home agent of ${home}: it cannot serve it, too`);
    this.#maps.homes.set(addressBytes(home), Buffer.concat([addressBytes(options.careOf), addressBytes(options.homeAgent), addressBytes(options.via)]));
    this.#homes.set(home, options);
    this.#steering.addHome(home);
    this.#refreshLocals();
    this.#reassembled.setHome(home, options);
  }

  removeHome(home: Address): void {
    if (!this.#homes.delete(home)) return;
    for (const entry of this.#clients.of(home)) this.#put({ ...entry, optimised: false, state: { kind: "unknown" } });
    this.setMembers(home, []);
    this.#steering.removeHome(home);
    this.#maps.homes.delete(addressBytes(home));
    this.#reassembled.setHome(home, null);
  }

  setMembers(home: Address, members: readonly Address[]): void {
    const key = (member: Address) => Buffer.concat([addressBytes(home), addressBytes(member)]);
    for (const member of members) this.#maps.members.set(key(member), Buffer.from([1, 0, 0, 0]));
    for (const member of this.#members.get(home) ?? []) if (!members.includes(member)) this.#maps.members.delete(key(member));
    this.#members.set(home, [...members]);
    this.#reassembled.setMembers(home, members);
  }

  optimise(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), optimised: true });
  }

  unoptimise(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), optimised: false });
  }

  serve(home: Address, client: Address): void {
    this.#change(home, client, { kind: "served" });
  }

  unserve(home: Address, client: Address): void {
    this.#leave(home, client, "served");
  }

  relay(home: Address, client: Address, member: Address): void {
    this.#change(home, client, { kind: "relayed", member });
  }

  unrelay(home: Address, client: Address): void {
    this.#leave(home, client, "relayed");
  }

  hold(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), state: { kind: "held" } });
    this.#held.announce(clientKey(home, client));
  }

  release(home: Address, client: Address): void {
    if (this.#clients.get(home, client).state.kind === "held") this.#change(home, client, { kind: "served" });
  }

  discard(home: Address, client: Address): void {
    this.#leave(home, client, "held");
  }

  onUnbound(handler: (home: Address, careOf: Address, destination: Address) => void): void {
    this.#onUnbound = handler;
  }

  counters(): DataPlaneCounters {
    const counts = this.#maps.readCounters();
    for (const [name, packets] of this.#ownDrops) counts[counterIndex[name]] = { packets, bytes: 0 };
    const { drops, ...rest } = nameCounters(counts);
    const lost = this.#agentEnd.lost();
    return { ...rest, drops: lost > 0 ? { ...drops, "packets for the agent that it read too slowly": lost } : drops };
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#expiry);
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }

  #own<T extends { close(): void }>(part: T): T {
    this.#undo.push(() => part.close());
    return part;
  }

  #writeSettings(): void {
    const { device, stackEnd } = this.#steering;
    const settings = Buffer.alloc(48);
    [device.index, stackEnd.index, device.mtu, names.mark].forEach((value, i) => settings.writeUInt32LE(value, 4 * i));
    settings.set(addressBytes(this.#context.address), 16);
    settings.writeUInt32LE(this.#tunnels.size, 32);
    settings.writeUInt32LE(this.#context.kernelTranslates ? 1 : 0, 36);
    settings.writeUInt32LE(this.#fragmented.size, 40);
    this.#maps.settings.set(Buffer.alloc(4), settings);
  }

  #refreshLocals(): void {
    const now = new Set([this.#context.address, ...this.#steering.localAddresses()]);
    for (const address of now) if (!this.#locals.has(address)) this.#maps.locals.set(addressBytes(address), Buffer.from([1, 0, 0, 0]));
    for (const address of this.#locals) if (!now.has(address)) this.#maps.locals.delete(addressBytes(address));
    this.#locals = now;
  }

  /** Addresses and routes come and go. */
  #followHost(): void {
    this.#refreshLocals();
    for (const [home, careOf] of this.#bindings) this.#putBinding(home, careOf, this.#steering.isDirect(home), this.#wasUsed(home));
  }

  #wasUsed(home: Address): boolean {
    const value = Buffer.alloc(24);
    return this.#maps.bindings.read(addressBytes(home), value) && value.readUInt32LE(20) !== 0;
  }

  #putBinding(home: Address, careOf: Address, direct: boolean, used = false): void {
    const value = Buffer.alloc(24);
    value.set(addressBytes(careOf));
    value.writeUInt32LE(direct ? 1 : 0, 16);
    value.writeUInt32LE(used ? 1 : 0, 20);
    this.#maps.bindings.set(addressBytes(home), value);
  }

  #put(entry: ClientEntry): void {
    const key = Buffer.concat([addressBytes(entry.home), addressBytes(entry.client)]);
    if (!this.#clients.put(entry)) {
      this.#maps.clients.delete(key);
      return;
    }
    const value = Buffer.alloc(24);
    if (entry.state.kind === "relayed") value.set(addressBytes(entry.state.member));
    value.writeUInt32LE(stateNumbers[entry.state.kind], 16);
    value.writeUInt32LE(entry.optimised ? 1 : 0, 20);
    this.#maps.clients.set(key, value);
  }

  /** To served or relayed: what was kept goes first, then what was on its way to us while the programs learnt of the change. */
  #change(home: Address, client: Address, state: ClientState): void {
    this.#readPunted(Infinity);
    const kept = this.#held.take(clientKey(home, client));
    // Relaying is done by a program, which must know the new state before it sees the packets.
    if (state.kind === "relayed") this.#put({ ...this.#clients.get(home, client), state });
    for (const frame of kept) this.#agentEnd.giveBack(frame);
    this.#put({ ...this.#clients.get(home, client), state });
    this.#readPunted(Infinity);
  }

  #leave(home: Address, client: Address, from: ClientState["kind"]): void {
    const entry = this.#clients.get(home, client);
    if (entry.state.kind !== from) return;
    this.#put({ ...entry, state: { kind: "unknown" } });
    this.#readPunted(Infinity);
    this.#held.take(clientKey(home, client));
  }

  #readPunted(limit: number): void {
    for (let i = 0; i < limit; i++) {
      const punted = this.#agentEnd.read();
      if (!punted) return;
      this.#take(punted);
    }
  }

  #take({ notice, frame, packet }: Punted): void {
    switch (notice) {
      case "held":
        return this.#keep(frame, packet);
      case "unbound":
        if (packet.length >= 64) this.#onUnbound(formatAddress(packet, 48), formatAddress(packet, 8), formatAddress(packet, 24));
        return;
      case "tooBig":
        return this.#sendError(tooBigForTunnel(packet, this.#context.address, this.#steering.device.mtu));
      case "error":
        return this.#relayError(packet, frame);
      case "hops":
        return this.#sendError(hopLimitExceeded(packet, this.#context.address));
      case "narrow":
        return this.#sendFragmented(packet, frame);
      case "bounced":
        return this.#delay(frame, packet);
    }
  }

  #delay(frame: Buffer, packet: Buffer): void {
    if (this.#bounced >= bounce.packets) return this.#countOwn("held packets over the limit", 1);
    this.#bounced++;
    setTimeout(() => {
      this.#bounced--;
      if (!this.#closed) this.#keep(frame, packet);
    }, bounce.ms);
  }

  #keep(frame: Buffer, packet: Buffer): void {
    const client = clientOf(packet);
    const home = formatAddress(packet, 24);
    const { kind } = this.#clients.get(home, client).state;
    if (kind === "served" || kind === "relayed") return this.#agentEnd.giveBack(frame);
    const dropped = this.#held.keep(clientKey(home, client), frame, kind === "held", performance.now());
    this.#countOwn("held packets over the limit", dropped);
    this.#expiry ??= setInterval(() => this.#expire(), expiryMs).unref();
  }

  #expire(): void {
    this.#countOwn("relayed packet of a client that nobody announced", this.#held.expire(performance.now()));
    if (!this.#held.empty) return;
    clearInterval(this.#expiry);
    this.#expiry = undefined;
  }

  #countOwn(name: CounterName, packets: number): void {
    if (packets > 0) this.#ownDrops.set(name, (this.#ownDrops.get(name) ?? 0) + packets);
  }

  /** An error that quotes something like what we send: to the socket or host whose packet it is about; to the stack as it is when that is none of ours. */
  #relayError(packet: Buffer, frame: Buffer): void {
    const error = translateError(packet);
    if (error?.message.kind === "packetTooBig" && this.#isOurTunnel(error)) this.#fragmented.learn(error.added.towards, error.message.mtu);
    if (error && (this.#locals.has(error.source) || this.#homes.has(error.source))) this.#agentEnd.giveBack(frameOf(forSocket(error)));
    else if (error && this.#isOurTunnel(error)) this.#sendError({ destination: error.source, packet: forSender(error) });
    else this.#agentEnd.giveBack(frame);
  }

  /** Whether we do send that host's packets through that tunnel: else anybody could have us send errors to anybody. */
  #isOurTunnel({ source, destination, added }: TranslatedError): boolean {
    if (added.kind !== "tunnel") return false;
    const here = this.#homes.get(source);
    if (here) return here.via === added.towards;
    if (this.#tunnels.has(destination)) return this.#tunnels.get(destination) === added.towards;
    const { state } = this.#clients.get(destination, source);
    return state.kind === "relayed" && state.member === added.towards;
  }

  #sendError(error: { readonly destination: Address; readonly packet: Uint8Array } | undefined): void {
    if (!error) return;
    if (this.#locals.has(error.destination) || this.#homes.has(error.destination)) return this.#agentEnd.giveBack(frameOf(error.packet));
    const { bucket, taken } = takeToken(this.#errors, performance.now());
    this.#errors = bucket;
    if (!taken) return this.#countOwn("ICMPv6 errors to other hosts, too many", 1);
    this.#sendRaw(error.packet);
  }

  /** A packet for a narrow way; in the tunnel that it came in, when it is taken from one to another. */
  #sendFragmented(packet: Buffer, frame: Buffer): void {
    const skip = packet[6] === tunnelProtocol && this.#locals.has(formatAddress(packet, 24)) ? tunnelLength : 0;
    const ends = packet.length >= skip + tunnelLength ? this.#tunnelOf(packet.subarray(skip)) : undefined;
    if (ends) this.#fragmented.send(frame, ends, skip);
    else this.#countOwn("packet could not be changed", 1);
  }

  /** Into which tunnel the programs put an inner packet. */
  #tunnelOf(inner: Buffer): TunnelEnds | undefined {
    const [source, destination] = [formatAddress(inner, 8), formatAddress(inner, 24)];
    const away = this.#tunnels.get(destination);
    if (away) return { source: this.#context.address, destination: away };
    const from = this.#homes.get(source);
    if (from) return { source: from.careOf, destination: from.via };
    const to = this.#homes.get(destination);
    const { state } = this.#clients.get(destination, clientOf(inner));
    return to && state.kind === "relayed" ? { source: to.careOf, destination: state.member } : undefined;
  }

  #sendRaw(packet: Uint8Array): void {
    try {
      this.#sender.send(packet);
    } catch (failure) {
      if (!(failure instanceof SystemCallError)) throw failure;
      this.#countOwn("packet could not be sent", 1);
    }
  }
}
