/**
 * What a contact's memory of its clients takes, in both cases that there are: each client route-optimised to the contact itself (home token, binding, timers),
 * and each served by another member, to whom what comes through the tunnel is relayed. Real signalling makes them: a stateless client answers every test and
 * acknowledges every Binding Update, sockets answer that data passes, and every timer is given its turn. Then they are idle, and everything that is left is
 * counted: rows of packed arrays, and whatever is on the heap. Beside it the same clients as one object each in a Map.
 * usage: contact.ts [--json] [--clients N,N,…]
 */
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ClientStates } from "../src-agent/dataplane/clientStates.ts";
import { addressBytes, formatAddress, type Address } from "../src-shared/net/address.ts";
import { AddressSet } from "../src-shared/protocol/core/addressSet.ts";
import { newContactClient, type ContactClient } from "../src-shared/protocol/core/group/contactClient.ts";
import type { GroupEffect, GroupView } from "../src-shared/protocol/core/group/effects.ts";
import { Group } from "../src-shared/protocol/core/group/group.ts";
import { seededRandom } from "../src-shared/stats/random.ts";
import { answerAll } from "../test/support/statelessClient.ts";

const { values } = parseArgs({ options: { json: { type: "boolean" }, clients: { type: "string", default: "10000,100000,1000000" } } });
const sizes = values.clients.split(",").map(Number);
/** Milliseconds between the arrivals of two clients: a million of them arrive within the life of a binding. */
const arrivalMs = 0.3;
/** The last binding has proved itself by then: three round trips. */
const settledMs = 1_000;
const gate = 200;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const home = addressOf(0xf0000001);
const own = addressOf(0xf0000002);
const other = addressOf(0xf0000004);
const view: GroupView = { id: "g", home, homeAgent: addressOf(0xf0000003), self: "k", contact: "k", members: new Map([["k", own], ["a", other]]), lifetimeSeconds: 420 };

function addressOf(i: number): Address {
  const bytes = new Uint8Array(16);
  bytes.set([0x20, 0x01, 0x0d, 0xb8]);
  new DataView(bytes.buffer).setUint32(8, i);
  return formatAddress(bytes);
}

/** Bytes in use after a collection: JavaScript objects and, outside the heap, the packed arrays. */
function bytesInUse(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A contact's tables, filled as the agent fills them. */
class Contact {
  readonly group: Group;
  /** The control side of the eBPF and userspace data planes. */
  readonly plane = new ClientStates();
  /** Whom others serve, as the group's runtime knows it. */
  readonly elsewhere: AddressSet;

  constructor(seed: number) {
    const { bytes } = seededRandom(seed);
    this.group = new Group(view, bytes, { autoOptimise: true });
    this.elsewhere = new AddressSet(1 << 20, seed);
  }

  /** A connection comes, and the contact binds the client to whoever serves it. */
  arrive(client: Address, server: "k" | "a", now: number): void {
    this.wakeUntil(now);
    if (server === "k") {
      this.#carryOut(this.group.input({ kind: "activity", client, active: true }, now), now);
      return;
    }
    this.#carryOut(this.group.input({ kind: "member", from: server, message: { kind: "activity", client, active: true }, at: now }, now), now);
    // What a handoff to it leaves: packets out of the home tunnel go on to it.
    this.elsewhere.add(client);
    this.plane.put({ home, client, state: { kind: "relayed", member: other }, optimised: false });
  }

  /** Gives every wake that is due by `until` at its time. */
  wakeUntil(until: number): void {
    for (let at = this.group.nextWake(); at !== null && at <= until; at = this.group.nextWake()) this.#carryOut(this.group.input({ kind: "wake" }, at), at);
  }

  #carryOut(effects: readonly GroupEffect[], now: number): void {
    for (const effect of answerAll(this.group, effects, now)) {
      if (effect.do === "optimise") this.plane.put({ home, client: effect.client, state: { kind: "served" }, optimised: true });
      if (effect.do === "drop") throw new Error(effect.reason);
    }
  }
}

function measureContact(count: number, server: "k" | "a") {
  const before = bytesInUse();
  const contact = new Contact(count);
  const started = performance.now();
  for (let i = 0; i < count; i++) contact.arrive(addressOf(i), server, i * arrivalMs);
  contact.wakeUntil(count * arrivalMs + settledMs);
  const perSecond = (count * 1000) / (performance.now() - started);
  const bytes = bytesInUse() - before;
  const { group, plane, elsewhere } = contact;
  const { known } = group.inspect(0) as { known: { clients: number; busy: number; bound: number; watched: number } };
  const here = server === "k" ? count : 0;
  const rows = [known.clients, known.busy, known.bound, known.watched, elsewhere.size];
  if (rows.join() !== [count, 0, here, 0, count - here].join()) throw new Error(`not every client was bound and idle: ${JSON.stringify(known)}`);
  if (plane.get(home, addressOf(count - 1)).state.kind !== (server === "k" ? "served" : "relayed")) throw new Error("the data plane has lost a client");
  return { perClient: bytes / count, packedPerClient: (group.clientBytes + plane.bytes + elsewhere.bytes) / count, perSecond };
}

/** The same knowledge as one object a client, as a table of plain states would hold it. */
function measureObjects(count: number): number {
  const before = bytesInUse();
  const clients = new Map<Address, ContactClient>();
  for (let i = 0; i < count; i++) {
    const client = addressOf(i);
    const grant = { token: addressBytes(client).slice(8), nonceIndex: 1, receivedAt: i * arrivalMs };
    clients.set(client, { ...newContactClient(client, "k", i), grant, capability: "mobile", boundUntil: i * arrivalMs + 420_000, updates: [i * arrivalMs] });
  }
  const bytes = bytesInUse() - before;
  if (clients.size !== count) throw new Error("clients of the same address");
  return bytes / count;
}

const rounded = (value: number): number => Number(value.toPrecision(4));
const figures: Record<string, number> = {};
const ratios: Record<string, number> = {};
const gates: { readonly name: string; readonly limit: number; readonly value: number; readonly ok: boolean }[] = [];
const largest = Math.max(...sizes);
for (const count of sizes) {
  const objects = measureObjects(count);
  figures[`${count} clients: bytes each as objects`] = rounded(objects);
  for (const [server, where] of [["k", "served here"], ["a", "served by another"]] as const) {
    const { perClient, packedPerClient, perSecond } = measureContact(count, server);
    figures[`${count} clients ${where}: bytes each`] = rounded(perClient);
    figures[`${count} clients ${where}: of these in packed arrays`] = rounded(packedPerClient);
    figures[`${count} clients ${where}: bound per second, their own work included`] = rounded(perSecond);
    ratios[`${count} clients ${where}: packed / objects`] = rounded(perClient / objects);
    if (count === largest) gates.push({ name: `bytes a client ${where} at ${count}`, limit: gate, value: rounded(perClient), ok: perClient <= gate });
  }
}
const environment = { kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model ?? "unknown", node: process.version, counted: "heapUsed + external (array buffers) after two collections, less the same before" };
process.stdout.write(`${JSON.stringify({ name: "contact", ratios, figures, gates, environment }, null, values.json ? undefined : 2)}\n`);
process.exitCode = gates.every((g) => g.ok) ? 0 : 1;
