/**
 * What a correspondent does on one core: for each home address a Home Test Init, a Care-of Test Init and a Binding Update, from packets' bytes to packets'
 * bytes, each answered. Only the correspondent's work is timed; the mobile node's is done between. Beside it the hashes alone that this takes
 * (six HMAC-SHA1 and one SHA1 a binding), in turn.
 * usage: correspondent.ts [--json] [--rounds N] [--bindings N]
 */
import { createHash, createHmac } from "node:crypto";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { formatAddress, parseAddress, type Address } from "../src-shared/net/address.ts";
import { correspond, newCorrespondent } from "../src-shared/protocol/core/correspondent.ts";
import { defaultCorrespondentLimits, type Correspondent } from "../src-shared/protocol/core/correspondentState.ts";
import { bindingUpdateFor } from "../src-shared/protocol/core/returnRoutability.ts";
import { bindingManagementKey } from "../src-shared/protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../src-shared/stats/random.ts";

const { values } = parseArgs({ options: { json: { type: "boolean" }, rounds: { type: "string", default: "9" }, bindings: { type: "string", default: "4000" } } });
const rounds = Number(values.rounds);
const bindings = Number(values.bindings);
const own = parseAddress("2001:db8:1::10");
const unlimited = { perSecond: 1e9, burst: 1e9 };
const random = seededRandom("correspondent bench").bytes;

function addressOf(prefix: number, i: number): Address {
  const bytes = new Uint8Array(16);
  bytes.set([0x20, 0x01, 0x0d, 0xb8, prefix]);
  new DataView(bytes.buffer).setUint32(12, i + 1);
  return formatAddress(bytes);
}

const homes = Array.from({ length: bindings }, (_, i) => addressOf(0xf0, i));
const places = Array.from({ length: bindings }, (_, i) => addressOf(0xa0, i));

/** Bytes in, bytes out; time does not pass. */
class Node {
  #state: Correspondent = newCorrespondent(0, random, { ...defaultCorrespondentLimits, entries: 1 << 20, tests: unlimited, testsEach: unlimited });

  answer(bytes: Uint8Array): Uint8Array {
    const decoded = decodePacket(bytes);
    if (!decoded.ok) throw new Error(`refused: ${decoded.reason}`);
    const { state, effects } = correspond(this.#state, { kind: "packet", packet: decoded.packet, mobilityHeader: decoded.mobilityHeader }, 0, random);
    this.#state = state;
    const sent = effects.find((e) => e.do === "send");
    if (!sent) throw new Error(`not answered: ${JSON.stringify(effects[0])}`);
    return encodePacket(sent.packet);
  }

  get bound(): number {
    return this.#state.cache.bound;
  }
}

function testInit(kind: "homeTestInit" | "careOfTestInit", source: Address): Uint8Array {
  return encodePacket({ source, destination: own, message: { kind, cookie: new Uint8Array(8), options: [] } });
}

function tokenIn(bytes: Uint8Array): { readonly token: Uint8Array; readonly nonceIndex: number } {
  const decoded = decodePacket(bytes);
  if (!decoded.ok || (decoded.packet.message.kind !== "homeTest" && decoded.packet.message.kind !== "careOfTest")) throw new Error("no test came back");
  return decoded.packet.message;
}

function timed<T>(work: () => T): { readonly ms: number; readonly result: T } {
  const started = performance.now();
  const result = work();
  return { ms: performance.now() - started, result };
}

/** Milliseconds of the correspondent's work for all bindings: tests, then updates. */
function signalling(): { readonly tests: number; readonly updates: number } {
  const node = new Node();
  const inits = homes.flatMap((home, i) => [testInit("homeTestInit", home), testInit("careOfTestInit", places[i] as Address)]);
  const tests = timed(() => inits.map((bytes) => node.answer(bytes)));
  const updates = homes.map((home, i): MobilityPacket => {
    const [h, c] = [tokenIn(tests.result[2 * i] as Uint8Array), tokenIn(tests.result[2 * i + 1] as Uint8Array)];
    return bindingUpdateFor({ home, client: own, careOf: places[i] as Address, sequence: 1, lifetimeSeconds: 420, homeNonceIndex: h.nonceIndex, careOfNonceIndex: c.nonceIndex, kbm: bindingManagementKey(h.token, c.token) });
  });
  const packets = updates.map((packet) => encodePacket(packet));
  const answers = timed(() => packets.map((bytes) => node.answer(bytes)));
  if (node.bound !== bindings) throw new Error(`${node.bound} of ${bindings} were bound`);
  return { tests: tests.ms, updates: answers.ms };
}

/** The hashes of as many bindings, by node's own HMAC over inputs of the same lengths. */
function hashing(): number {
  const [key, kbm] = [new Uint8Array(20), new Uint8Array(20)];
  const [token, header] = [new Uint8Array(16 + 8 + 1), new Uint8Array(16 + 16 + 40)];
  return timed(() => {
    for (let i = 0; i < bindings; i++) {
      for (let j = 0; j < 4; j++) createHmac("sha1", key).update(token).digest();
      createHash("sha1").update(key.subarray(0, 16)).digest();
      for (let j = 0; j < 2; j++) createHmac("sha1", kbm).update(header).digest();
    }
  }).ms;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}

const samples = Array.from({ length: rounds + 1 }, (_, round) => {
  // Who comes first changes: the second one has warm caches.
  const early = round % 2 ? hashing() : 0;
  const { tests, updates } = signalling();
  return { tests, updates, hashes: early || hashing() };
}).slice(1); // the first one compiles

const rounded = (value: number): number => Number(value.toPrecision(4));
const perSecond = (ms: number): number => rounded((bindings * 1000) / ms);
const figures = {
  "bindings per second (both tests and the update)": perSecond(median(samples.map((s) => s.tests + s.updates))),
  "tests per second": rounded(2 * perSecond(median(samples.map((s) => s.tests)))),
  "updates per second": perSecond(median(samples.map((s) => s.updates))),
  "hashes of a binding alone, per second": perSecond(median(samples.map((s) => s.hashes))),
};
const ratios = { "signalling / its hashes alone": rounded(median(samples.map((s) => s.hashes / (s.tests + s.updates)))) };
const environment = { kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model ?? "unknown", node: process.version, rounds, bindings, core: "one" };
process.stdout.write(`${JSON.stringify({ name: "correspondent", ratios, figures, environment }, null, values.json ? undefined : 2)}\n`);
