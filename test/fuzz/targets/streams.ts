import { BadRequest, readRequestHead } from "../../../src-adapter/http/requestHead.ts";
import { bodyStart, readBody, type BodyPosition } from "../../../src-adapter/http/bodyReader.ts";
import { decodeHttpState, encodeHttpState } from "../../../src-adapter/http/httpState.ts";
import { encodeFrame, FrameReader, type LinkMessage } from "../../../src-agent/members/frame.ts";
import { agentCalls, controlRequest } from "../../../src-shared/api/control.ts";
import { LineReader } from "../../../src-shared/api/lines.ts";
import { PcapngReader, type CaptureBlock } from "../../../src-shared/pcapng/read.ts";
import { enhancedPacket, interfaceDescription, interfaceStatistics, sectionHeader, timeHalves } from "../../../src-shared/pcapng/write.ts";
import { parseAddress } from "../../../src-shared/net/address.ts";
import type { SeededRandom } from "../../../src-shared/stats/random.ts";
import { allowed, must, mustEqual, type Target } from "../target.ts";

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "utf8"));

/** The same bytes in two pieces; the first byte says where. */
function halves(input: Uint8Array): readonly [Buffer, Buffer] {
  const bytes = Buffer.from(input.subarray(1));
  const at = Math.floor(((input[0] ?? 0) * bytes.length) / 255);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

/** Everything that `read` yields, and the error that ended it. */
function outcome<T>(read: () => Iterable<T>, mayThrow: readonly string[]): { readonly items: T[]; readonly error: string | null } {
  const items: T[] = [];
  try {
    for (const item of read()) items.push(item);
    return { items, error: null };
  } catch (error) {
    return { items, error: allowed(error, mayThrow) };
  }
}

const client = parseAddress("2001:db8::c");
const lease = { next: 65_530, last: 1 };
const grant = { token: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), nonceIndex: 7, ageMs: 12.5 };
const linkMessages: readonly LinkMessage[] = [
  { kind: "ping", nonce: 1 },
  { kind: "pong", nonce: 2 },
  { kind: "padding", bundle: new Uint8Array(5) },
  { kind: "take", handoff: "h1", client, acceptor: "a", mode: "full", drain: false, lease, grant },
  { kind: "take", handoff: "h2", client, acceptor: "b", mode: "prepared", drain: true, lease, grant: null },
  { kind: "expect", handoff: "h1", client, donor: "d" },
  { kind: "offer", handoff: "h1", client, mode: "full", lease, grant, early: true },
  { kind: "frozen", handoff: "h1", client },
  { kind: "state", handoff: "h1", client, connections: 2, drainMs: 0.5, bundle: Uint8Array.of(9, 8, 7) },
  { kind: "withdrawn", handoff: "h1", client },
  { kind: "accepted", handoff: "h1", client, sequence: 3, lifetimeSeconds: 420, connections: 2, drainMs: 0, bytes: 3 },
  { kind: "refused", handoff: "h1", client, step: "restored", reason: "no", lastSequence: null },
  { kind: "rebind", client, lease, grant },
  { kind: "rebound", client, sequence: 4, lifetimeSeconds: 420 },
  { kind: "rebindFailed", client, reason: "no", lastSequence: 9 },
  { kind: "activity", client, active: true },
];

/** Frames between members: whatever a member sends, however it is cut up. */
const members: Target = {
  name: "memberFrames",
  weight: 3,
  longest: 700,
  seeds: () => [...linkMessages.map((m) => prefixed(128, ...encodeFrame(m))), prefixed(90, ...linkMessages.slice(3, 8).flatMap((m) => encodeFrame(m)))],
  repair: (input, random) => withLengths(input, random),
  run: (input) => {
    const errors = ["RangeError", "ZodError", "SyntaxError"];
    const whole = new FrameReader();
    const read = outcome(() => whole.push(Buffer.from(input.subarray(1))), errors);
    const [first, second] = halves(input);
    const parts = new FrameReader();
    const cut = outcome(function* () {
      yield* parts.push(first);
      yield* parts.push(second);
    }, errors);
    mustEqual(cut.error === null, read.error === null, "how the bytes arrive decides whether they are accepted");
    if (read.error !== null) return;
    mustEqual(cut.items, read.items, "how the bytes arrive changes what they say");
    for (const message of read.items) {
      const [again] = new FrameReader().push(Buffer.concat(encodeFrame(message)));
      mustEqual(again, message, "decoded, encoded, decoded");
    }
  },
};

function prefixed(first: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat([Buffer.of(first), ...parts]));
}

/** Mostly makes the lengths of the first frame fit the bytes that are there. */
function withLengths(input: Uint8Array, random: SeededRandom): Uint8Array {
  if (input.length < 10 || random.below(4) === 0) return input;
  const bytes = Buffer.from(input);
  const end = bytes.lastIndexOf(0x7d);
  bytes.writeUInt32BE(bytes.length - 5, 1);
  if (end > 9) bytes.writeUInt32BE(end - 8, 5);
  return Uint8Array.from(bytes);
}

const capture = (): Uint8Array =>
  Uint8Array.from(
    Buffer.concat([
      sectionHeader({ application: "fuzz", os: "any", comment: "c" }),
      interfaceDescription({ name: "a", description: "eth0", filter: "all", snaplen: 96 }),
      enhancedPacket({ interface: 0, ...timeHalves(1_764_000_000, 5), originalLength: 60, direction: "in", comment: "x" }, new Uint8Array(13)),
      interfaceStatistics({ interface: 0, timeNs: 5n, received: 3, dropped: 2 }),
    ]),
  );

/** Captures, which come from hosts. */
const pcapng: Target = {
  name: "pcapng",
  weight: 6,
  longest: 800,
  seeds: () => [prefixed(120, capture())],
  run: (input) => {
    const [first, second] = halves(input);
    const read = (...chunks: readonly Uint8Array[]) =>
      outcome(function* () {
        const reader = new PcapngReader();
        for (const chunk of chunks) for (const block of reader.push(chunk)) yield copied(block);
        reader.end();
      }, ["PcapngError"]);
    const whole = read(input.subarray(1));
    mustEqual(read(first, second), whole, "how the bytes arrive changes what they say");
    for (const block of whole.items) {
      if (block.kind !== "packet") continue;
      must(block.packet.data.length <= input.length && block.packet.block.length <= input.length, "a packet longer than its file");
      must(Number.isFinite(block.packet.timeMs), "a packet without a time");
    }
  },
};

function copied(block: CaptureBlock): CaptureBlock {
  return block.kind === "packet" ? { ...block, packet: { ...block.packet, data: block.packet.data.slice(), block: block.packet.block.slice() } } : block;
}

/** Lines of the control channel: requests with every argument. */
const control: Target = {
  name: "controlLines",
  weight: 1,
  longest: 600,
  seeds: () =>
    [
      { id: 1, call: "hello", args: {} },
      { id: 2, call: "serveHome", args: { homeAddress: "2001:db8::1", associations: [{ spi: 256, key: `${"A".repeat(43)}=` }], maxLifetimeSeconds: 420 } },
      { id: 3, call: "handOver", args: { home: "2001:db8::1", client: "2001:db8::2", acceptor: "a", mode: "full", id: "h1" } },
      { id: 4, call: "join", args: { id: "g", homeAddress: "::1", homeAgent: "::2", self: "a", contact: "a", backups: [], members: [{ name: "a", address: "::3", port: 7135 }], services: [{ kind: "http", name: "w", port: 80, origin: "http://127.0.0.1" }], epoch: 1, authority: "", certificate: "" } },
      { id: 5, call: "optimise", args: { home: "2001:db8::1", client: "2001:db8::2" } },
    ].map((request) => prefixed(70, bytesOf(`${JSON.stringify(request)}\n`))),
  run: (input) => {
    const [first, second] = halves(input);
    const read = (...chunks: readonly Uint8Array[]) =>
      outcome(() => {
        const reader = new LineReader(500);
        return chunks.flatMap((chunk) => reader.push(chunk));
      }, ["RangeError"]);
    const whole = read(input.subarray(1));
    if (whole.error !== null) return;
    mustEqual(read(first, second), whole, "how the bytes arrive changes what they say");
    for (const line of whole.items) {
      outcome(() => {
        const { call, args } = controlRequest.parse(JSON.parse(line));
        return Object.hasOwn(agentCalls, call) ? [agentCalls[call as keyof typeof agentCalls].args.parse(args)] : [];
      }, ["ZodError", "SyntaxError"]);
    }
  },
};

/** What HTTP clients send: head, then body. */
const http: Target = {
  name: "httpRequest",
  weight: 15,
  longest: 600,
  seeds: () =>
    [
      "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      "PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
      "POST http://x/y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n0\r\nT: 1\r\n\r\n",
      "GET * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ].map((text) => prefixed(200, bytesOf(text))),
  run: (input) => {
    const bytes = Buffer.from(input.subarray(1));
    const { items, error } = outcome(() => [readRequestHead(bytes)], ["BadRequest"]);
    const [read] = items;
    if (error !== null || !read) return;
    must(read.length <= bytes.length, "a head longer than its bytes");
    const rest = bytes.subarray(read.length);
    const at = Math.floor(((input[0] ?? 0) * rest.length) / 255);
    mustEqual(bodyOf(read.head.body, [rest.subarray(0, at), rest.subarray(at)]), bodyOf(read.head.body, [rest]), "how a body arrives changes what it says");
  },
};

function bodyOf(framing: Parameters<typeof bodyStart>[0], chunks: readonly Buffer[]): unknown {
  let position: BodyPosition = bodyStart(framing);
  let left = Buffer.alloc(0);
  const data: Buffer[] = [];
  try {
    for (const chunk of chunks) {
      left = Buffer.concat([left, chunk]);
      const step = readBody(position, left);
      must(step.used <= left.length, "more used than there is");
      left = left.subarray(step.used);
      position = step.position;
      data.push(...step.data);
    }
    return { position, data: Uint8Array.from(Buffer.concat(data)), left: left.length };
  } catch (error) {
    if (!(error instanceof BadRequest)) throw error;
    return error.status;
  }
}

/** What a service says of a moved HTTP connection: comes from another member. */
const httpState: Target = {
  name: "httpState",
  weight: 4,
  longest: 500,
  seeds: () => {
    const head = { method: "GET", target: "/", minor: 1, fields: [["host", "x"]], body: { kind: "none" }, keepAlive: true, expectsContinue: false } as const;
    const input = Buffer.from("GET");
    return [
      encodeHttpState({ input, clientEnded: false, exchange: { phase: "idle" } }),
      encodeHttpState({ input, clientEnded: true, exchange: { phase: "asking", head } }),
      encodeHttpState({ input, clientEnded: false, exchange: { phase: "sending", head, rest: { etag: '"e"', total: 9, next: 3, end: 9 } } }),
    ].map((bytes) => Uint8Array.from(bytes));
  },
  run: (input) => {
    const { items } = outcome(() => [decodeHttpState(input)], ["ZodError", "SyntaxError"]);
    for (const state of items) mustEqual(decodeHttpState(encodeHttpState(state)), state, "decoded, encoded, decoded");
  },
};

export const streamTargets: readonly Target[] = [members, pcapng, control, http, httpState];
