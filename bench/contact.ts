/**
 * What a contact's memory of its clients takes: each one route-optimised to the contact itself (home token, binding, timers), then idle. Real signalling
 * makes them: a stateless client answers every test and acknowledges every Binding Update. Beside it the same clients as one object each in a Map.
 * usage: contact.ts [--json] [--clients N,N,…]
 */
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ClientStates } from "../src-agent/dataplane/clientStates.ts";
import { addressBytes, formatAddress, type Address } from "../src-shared/net/address.ts";
import { newContactClient, type ContactClient } from "../src-shared/protocol/core/group/contact.ts";
import type { GroupView } from "../src-shared/protocol/core/group/effects.ts";
import { Group } from "../src-shared/protocol/core/group/group.ts";
import { seededRandom } from "../src-shared/stats/random.ts";
import { answerAll } from "../test/support/statelessClient.ts";

const { values } = parseArgs({ options: { json: { type: "boolean" }, clients: { type: "string", default: "10000,100000,1000000" } } });
const sizes = values.clients.split(",").map(Number);
/** Milliseconds between the arrivals of two clients: a million of them arrive within the life of a binding. */
const arrivalMs = 0.3;
const gate = 200;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const home = addressOf(0xf0000001);
const own = addressOf(0xf0000002);
const view: GroupView = { id: "g", home, homeAgent: addressOf(0xf0000003), self: "k", contact: "k", members: new Map([["k", own]]), lifetimeSeconds: 420 };

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

/** A connection comes, and the contact binds the client to itself. */
function arrive(group: Group, client: Address, now: number): void {
  if ((group.nextWake() ?? Infinity) <= now) group.input({ kind: "wake" }, now);
  answerAll(group, group.input({ kind: "activity", client, active: true }, now), now);
}

function measureGroup(count: number) {
  const before = bytesInUse();
  const group = new Group(view, seededRandom(count).bytes, { autoOptimise: true });
  const started = performance.now();
  for (let i = 0; i < count; i++) arrive(group, addressOf(i), i * arrivalMs);
  const perSecond = (count * 1000) / (performance.now() - started);
  const bytes = bytesInUse() - before;
  const { known } = group.inspect(0) as { known: { clients: number; busy: number; bound: number } };
  if (known.clients !== count || known.busy !== 0 || known.bound !== count) throw new Error(`not every client was bound: ${JSON.stringify(known)}`);
  return { perClient: bytes / count, packedPerClient: group.clientBytes / count, perSecond };
}

/** What the control side of the eBPF and userspace data planes keeps of as many clients that it relays. */
function measurePlane(count: number): number {
  const before = bytesInUse();
  const states = new ClientStates();
  for (let i = 0; i < count; i++) states.put({ home, client: addressOf(i), state: { kind: "relayed", member: own }, optimised: false });
  const bytes = bytesInUse() - before;
  if (states.get(home, addressOf(count - 1)).state.kind !== "relayed") throw new Error("a client was lost");
  return bytes / count;
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
for (const count of sizes) {
  const measured = measureGroup(count);
  figures[`${count} clients: bytes each`] = rounded(measured.perClient);
  figures[`${count} clients: bytes each in packed arrays`] = rounded(measured.packedPerClient);
  figures[`${count} clients: bound per second, client's work included`] = rounded(measured.perSecond);
  const plane = measurePlane(count);
  figures[`${count} clients: bytes each in the data plane's control side`] = rounded(plane);
  figures[`${count} clients: bytes each, all together`] = rounded(measured.perClient + plane);
  const objects = measureObjects(count);
  figures[`${count} clients: bytes each as objects`] = rounded(objects);
  ratios[`${count} clients: packed / objects`] = rounded(measured.perClient / objects);
}
const largest = Math.max(...sizes);
const value = figures[`${largest} clients: bytes each, all together`] as number;
const environment = { kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model ?? "unknown", node: process.version, counted: "heapUsed + external (array buffers) after two collections, less the same before" };
const gates = [{ name: `bytes a client at ${largest}`, limit: gate, value, ok: value <= gate }];
process.stdout.write(`${JSON.stringify({ name: "contact", ratios, figures, gates, environment }, null, values.json ? undefined : 2)}\n`);
process.exitCode = gates.every((g) => g.ok) ? 0 : 1;
