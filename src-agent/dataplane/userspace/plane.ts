import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Address } from "../../../src-shared/net/address.ts";
import { check, libc, SystemCallError } from "../../linux/libc.ts";
import { openPacketSocket, takePacketDrops } from "../../linux/packetSocket.ts";
import type { DataPlane, DataPlaneCounters } from "../../ports.ts";
import { ClientStates, type ClientEntry, type ClientState } from "../clientStates.ts";
import type { DataPlaneContext } from "../context.ts";
import { counterIndex, counterNames, nameCounters } from "../counters.ts";
import { ReassembledTunnels } from "../reassembledTunnels.ts";
import { extensionLength, Steering, tunnelLength } from "../steering.ts";
import { InPlace, type Passing } from "./inPlace.ts";
import { Redirects } from "./redirects.ts";
import type { Command } from "./tables.ts";
import type { WorkerSetup } from "./worker.ts";

const socketBuffer = 32 << 20;
/** As many as the eBPF data plane holds. */
const manyBindings = 65_536;
/** Clients of a home address with filters of their own; with more of them, all its packets come to the thread. */
const mostDiverted = 64;
const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
/** A command takes microseconds, the thread's start a tenth of a second. Longer than this, on however busy a machine, and the thread is gone. */
const commandLimitMs = 30_000;

/** The thread's program: beside this file, or beside the bundle where the agent is bundled. */
const workerPath = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./dataplane-worker.mjs", import.meta.url);

/**
 * Translation without tc programs, for hosts where they cannot be loaded: in a thread of our own, to and from which packets go through packet sockets; what
 * arrives route-optimised and needs no decision is translated in place by nftables, where there are some (decision 0013).
 */
export class UserspaceDataPlane implements DataPlane {
  readonly kind = "userspace";
  readonly #context: DataPlaneContext;
  readonly #kernelTranslates: boolean;
  readonly #steering: Steering;
  readonly #redirects: Redirects;
  /** Undefined: the thread translates everything, or the kernel does. */
  readonly #inPlace: InPlace | undefined;
  /** What passes to be translated in place, by home address; of those, the ones that do pass at the moment. */
  readonly #passing = new Map<Address, Passing>();
  readonly #passes = new Set<Address>();
  /** By home address, its clients whose packets the thread must see: held or relayed. */
  readonly #diverted = new Map<Address, Set<Address>>();
  /** Packets that each binding had translated in place when somebody last asked. */
  readonly #usesInPlace = new Map<Address, number>();
  readonly #reassembled: ReassembledTunnels;
  readonly #stackSocket: number;
  readonly #wakeUp: number;
  readonly #commands: MessagePort;
  readonly #done = new Int32Array(new SharedArrayBuffer(4));
  readonly #counts = new Float64Array(new SharedArrayBuffer(16 * counterNames.length));
  readonly #homes = new Set<Address>();
  readonly #uses = new Uint8Array(new SharedArrayBuffer(manyBindings));
  /** Each binding's place in `#uses`; places of bindings that have gone are taken again. */
  readonly #bindings = new Map<Address, number>();
  readonly #freeSlots: number[] = [];
  readonly #tunnels = new Set<Address>();
  readonly #clients = new ClientStates();
  readonly #undo: (() => void)[] = [];
  #locals = new Set<Address>();
  #issued = 0;
  #lost = 0;
  #foreign = 0;
  #onUnbound: (home: Address, careOf: Address, destination: Address) => void = () => {};

  /** `inPlace`: where nftables can translate, they do. Throws, with everything undone, when the kernel or our rights do not allow it. */
  constructor(context: DataPlaneContext, options: { readonly inPlace: boolean } = { inPlace: true }) {
    this.#context = context;
    this.#kernelTranslates = context.kernelTranslates ?? false;
    try {
      this.#steering = new Steering(context.device, { direct: false, kernelTranslates: this.#kernelTranslates, onChange: () => this.#refreshLocals() });
      this.#undo.push(() => this.#steering.close());
      const { device, agentEnd, stackEnd } = this.#steering;
      this.#stackSocket = this.#own(openPacketSocket({ device: agentEnd.index, linkLayer: true, offloadHeader: true, receiveBuffer: socketBuffer, sendBuffer: socketBuffer }));
      const wireSocket = this.#own(openPacketSocket({ device: device.index, linkLayer: true, offloadHeader: true, sendOnly: true, sendBuffer: socketBuffer }));
      this.#wakeUp = this.#own(check(libc.eventfd(0, EFD_NONBLOCK_CLOEXEC), "eventfd"));
      const { port1, port2 } = new MessageChannel();
      this.#commands = port1;
      const { address } = context;
      this.#startWorker({ stackSocket: this.#stackSocket, wireSocket, wakeUp: this.#wakeUp, commands: port2, done: this.#done, counts: this.#counts, uses: this.#uses, device, stackEnd, agentEnd, address });
      this.#inPlace = this.#kernelTranslates || !options.inPlace ? undefined : this.#openInPlace(device.index, address);
      this.#redirects = new Redirects(this.#steering, this.#kernelTranslates ? "by the kernel" : this.#inPlace ? "in place" : "by us");
      this.#undo.push(() => this.#redirects.close());
      this.#reassembled = new ReassembledTunnels(address, (packet) => this.#tell({ do: "reassembled", packet }), () => void this.#foreign++);
      this.#undo.push(() => this.#reassembled.close());
      this.#refreshLocals();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  bind(home: Address, careOf: Address): void {
    const slot = this.#bindings.get(home) ?? this.#freeSlots.pop() ?? this.#bindings.size;
    this.#uses[slot] = 0;
    if (!this.#kernelTranslates) this.#tell({ do: "bind", home, careOf, slot });
    this.#bindings.set(home, slot);
    this.#passBinding(home, careOf);
    this.#steering.addDestination(home, careOf, extensionLength);
  }

  unbind(home: Address): void {
    const slot = this.#bindings.get(home);
    if (slot === undefined) return;
    this.#bindings.delete(home);
    this.#passBinding(home, null);
    this.#steering.removeDestination(home);
    if (!this.#kernelTranslates) this.#tell({ do: "bind", home, careOf: null, slot });
    this.#freeSlots.push(slot);
  }

  takeUse(home: Address): boolean {
    const slot = this.#bindings.get(home);
    const used = slot !== undefined && this.#uses[slot] === 1;
    if (used) this.#uses[slot] = 0;
    const before = this.#usesInPlace.get(home) ?? 0;
    const now = this.#inPlace?.packetsOf(home) ?? 0;
    this.#usesInPlace.set(home, now);
    return used || now > before;
  }

  tunnel(home: Address, careOf: Address): void {
    if (this.#homes.has(home)) throw new Error(`${home} is served here: its home agent must be another host`);
    this.#tell({ do: "tunnel", home, careOf });
    if (!this.#tunnels.has(home)) this.#redirects.addAll(home);
    this.#tunnels.add(home);
    this.#reassembled.setTunnel(home, careOf);
    this.#steering.addDestination(home, careOf, tunnelLength);
  }

  untunnel(home: Address): void {
    if (!this.#tunnels.delete(home)) return;
    this.#steering.removeDestination(home);
    this.#redirects.removeAll(home);
    this.#tell({ do: "tunnel", home, careOf: null });
    this.#reassembled.setTunnel(home, null);
  }

  addHome(home: Address, ends: { readonly careOf: Address; readonly homeAgent: Address; readonly via: Address }): void {
    if (this.#tunnels.has(home)) throw new Error(`this host is the home agent of ${home}: it cannot serve it, too`);
    this.#tell({ do: "home", home, ends });
    if (!this.#homes.has(home)) this.#redirects.addAll(home);
    if (this.#kernelTranslates) this.#redirects.passRouted(home, ends.careOf);
    this.#homes.add(home);
    this.#passHome(home, ends.careOf);
    this.#steering.addHome(home);
    this.#refreshLocals();
    this.#reassembled.setHome(home, ends);
  }

  removeHome(home: Address): void {
    if (!this.#homes.delete(home)) return;
    for (const entry of this.#clients.of(home)) this.#put({ ...entry, optimised: false, state: { kind: "unknown" } });
    this.#passHome(home, null);
    this.setMembers(home, []);
    this.#steering.removeHome(home);
    this.#redirects.removeAll(home);
    this.#redirects.forgetRouted(home);
    this.#tell({ do: "home", home, ends: null });
    this.#reassembled.setHome(home, null);
  }

  setMembers(home: Address, members: readonly Address[]): void {
    this.#tell({ do: "members", home, members });
    this.#reassembled.setMembers(home, members);
  }

  optimise(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), optimised: true });
  }

  unoptimise(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), optimised: false });
  }

  serve(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), state: { kind: "served" } });
  }

  unserve(home: Address, client: Address): void {
    this.#leave(home, client, "served", { kind: "unknown" });
  }

  relay(home: Address, client: Address, member: Address): void {
    this.#put({ ...this.#clients.get(home, client), state: { kind: "relayed", member } });
  }

  unrelay(home: Address, client: Address): void {
    this.#leave(home, client, "relayed", { kind: "unknown" });
  }

  hold(home: Address, client: Address): void {
    this.#put({ ...this.#clients.get(home, client), state: { kind: "held" } });
  }

  release(home: Address, client: Address): void {
    this.#leave(home, client, "held", { kind: "served" });
  }

  discard(home: Address, client: Address): void {
    this.#leave(home, client, "held", { kind: "unknown" });
  }

  onUnbound(handler: (home: Address, careOf: Address, destination: Address) => void): void {
    this.#onUnbound = handler;
  }

  counters(): DataPlaneCounters {
    this.#lost += takePacketDrops(this.#stackSocket);
    this.#counts[2 * counterIndex["reassembled tunnel packet that is about no home address of ours"]] = this.#foreign;
    const { drops, ...rest } = nameCounters(counterNames.map((_, i) => ({ packets: this.#counts[2 * i] ?? 0, bytes: this.#counts[2 * i + 1] ?? 0 })));
    const { translatedIn } = rest;
    const inPlace = this.#inPlace?.total() ?? { packets: 0, bytes: 0 };
    return { ...rest, translatedIn: { packets: translatedIn.packets + inPlace.packets, bytes: translatedIn.bytes + inPlace.bytes }, drops: this.#lost > 0 ? { ...drops, "packets for the agent that it read too slowly": this.#lost } : drops };
  }

  close(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }

  #own(fd: number): number {
    this.#undo.push(() => void libc.close(fd));
    return fd;
  }

  #startWorker(setup: WorkerSetup): void {
    const worker = new Worker(workerPath, { workerData: setup, transferList: [setup.commands] });
    worker.on("message", (args: [Address, Address, Address]) => this.#onUnbound(...args));
    worker.on("error", (error) => {
      throw new Error(`the data plane's thread failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    });
    worker.unref();
    this.#commands.unref();
    this.#undo.push(() => {
      try {
        this.#tell({ do: "stop" });
      } catch {
        void worker.terminate();
      }
      this.#commands.close();
    });
  }

  /** Returns when the thread has done it. */
  #tell(command: Command): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread's port has no origin
    this.#commands.postMessage(command);
    const issued = ++this.#issued;
    const one = Buffer.alloc(8);
    one.writeBigUInt64LE(1n);
    check(libc.write(this.#wakeUp, one, 8), "write(eventfd)");
    for (let done = Atomics.load(this.#done, 0); done < issued; done = Atomics.load(this.#done, 0))
      if (Atomics.wait(this.#done, 0, done, commandLimitMs) === "timed-out") throw new Error(`the data plane's thread does not answer (${command.do})`);
  }

  #refreshLocals(): void {
    const now = new Set([this.#context.address, ...this.#steering.localAddresses()].filter((address) => address !== "::1"));
    for (const address of now) if (!this.#locals.has(address)) this.#redirects.addLocal(address);
    for (const address of this.#locals) if (!now.has(address)) this.#redirects.removeLocal(address);
    if (now.size !== this.#locals.size || [...now].some((address) => !this.#locals.has(address))) this.#tell({ do: "locals", addresses: [...now] });
    this.#locals = now;
  }

  #put(entry: ClientEntry): void {
    this.#clients.put(entry);
    const { home, client, state, optimised } = entry;
    this.#tell({ do: "client", home, client, state, optimised });
    const divert = state.kind === "held" || state.kind === "relayed";
    if (this.#inPlace) this.#divert(home, client, divert);
    else if (!this.#kernelTranslates) return;
    else if (divert) this.#redirects.addRouted(home, client);
    else this.#redirects.removeRouted(home, client);
  }

  #openInPlace(device: number, address: Address): InPlace | undefined {
    try {
      const inPlace = new InPlace(device, address);
      this.#undo.push(() => inPlace.close());
      return inPlace;
    } catch (error) {
      if (error instanceof SystemCallError) return undefined;
      throw error;
    }
  }

  #passBinding(home: Address, careOf: Address | null): void {
    this.#redirects.stopPassing(`binding ${home}`);
    this.#inPlace?.forget("binding", home);
    this.#usesInPlace.delete(home);
    const words = careOf ? this.#inPlace?.binding(home, careOf) : undefined;
    if (words) this.#redirects.pass(`binding ${home}`, words);
  }

  #passHome(home: Address, careOf: Address | null): void {
    this.#setPasses(home, false);
    this.#passing.delete(home);
    this.#inPlace?.forget("home", home);
    const words = careOf ? this.#inPlace?.home(home, careOf) : undefined;
    if (words) this.#passing.set(home, words);
    this.#setPasses(home, true);
  }

  #divert(home: Address, client: Address, away: boolean): void {
    const clients = this.#diverted.get(home) ?? new Set();
    if (away === clients.has(client)) return;
    if (away) this.#diverted.set(home, clients.add(client));
    else clients.delete(client);
    const few = clients.size <= mostDiverted;
    if (this.#passes.has(home) && few && away) this.#redirects.addRouted(home, client);
    if (this.#passes.has(home) && !away) this.#redirects.removeRouted(home, client);
    this.#setPasses(home, few);
    if (clients.size === 0) this.#diverted.delete(home);
  }

  /** Whether packets to `home` pass, but for those of diverted clients. */
  #setPasses(home: Address, pass: boolean): void {
    const words = this.#passing.get(home);
    const clients = this.#diverted.get(home) ?? new Set();
    const want = pass && words !== undefined && clients.size <= mostDiverted;
    if (want === this.#passes.has(home)) return;
    if (want) {
      for (const client of clients) this.#redirects.addRouted(home, client);
      this.#redirects.pass(`home ${home}`, words);
      this.#passes.add(home);
    } else {
      this.#passes.delete(home);
      this.#redirects.stopPassing(`home ${home}`);
      for (const client of clients) this.#redirects.removeRouted(home, client);
    }
  }

  #leave(home: Address, client: Address, from: ClientState["kind"], state: ClientState): void {
    const entry = this.#clients.get(home, client);
    if (entry.state.kind === from) this.#put({ ...entry, state });
  }
}
