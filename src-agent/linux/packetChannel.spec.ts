import { closeSync, openSync, readdirSync, readSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { libc } from "./libc.ts";
import { maximumDatagram, PacketChannel, type ChannelMessage } from "./packetChannel.ts";
import { sendPacket, unixPair } from "./unixSocket.ts";

const linux = process.platform === "linux";
const openDescriptors = () => readdirSync("/proc/self/fd").length;

describe.skipIf(!linux)(`packet channel${linux ? "" : " (skipped: needs Linux)"}`, () => {
  const channels: PacketChannel[] = [];
  const fds: number[] = [];
  afterEach(() => {
    for (const channel of channels.splice(0)) channel.close();
    for (const fd of fds.splice(0)) libc.close(fd);
  });

  /** A channel with a bare socket as its other end, and everything that it hears. */
  function half() {
    const [fd, other] = unixPair();
    fds.push(other);
    const channel = new PacketChannel(fd, { maximumBlob: 1_000_000 });
    channels.push(channel);
    const messages: ChannelMessage[] = [];
    channel.onMessage((message) => messages.push(message));
    const ended = new Promise<string>((resolve) => channel.onClose(resolve));
    return { channel, other, messages, ended };
  }

  function whole() {
    const { channel, messages, other } = half();
    fds.splice(fds.indexOf(other), 1);
    const sender = new PacketChannel(other, { maximumBlob: 1_000_000 });
    channels.push(sender);
    return { receiver: channel, sender, messages };
  }

  const datagram = (json: string, blob = Buffer.alloc(0), length = Buffer.byteLength(json)) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    return Buffer.concat([head, Buffer.from(json), blob]);
  };
  const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

  it("carries messages in order, with blobs of every size around a datagram's", async () => {
    const { sender, messages } = whole();
    const sizes = [0, 1, maximumDatagram - 100, maximumDatagram - 1, maximumDatagram, maximumDatagram + 1, 3 * maximumDatagram, 1_000_000];
    for (const size of sizes) sender.send({ size }, Buffer.alloc(size, size & 0xff));
    while (messages.length < sizes.length) await settle();
    expect(messages.map(({ json, blob }) => [(json as { size: number }).size, blob.length, blob.every((byte) => byte === (blob.length & 0xff))])).toEqual(sizes.map((size) => [size, size, true]));
  });

  it("passes descriptors, which the sender may close at once, even while the socket is full", async () => {
    const path = join(tmpdir(), `channel-${process.pid}`);
    writeFileSync(path, "through the socket");
    const { sender, messages } = whole();
    for (let i = 0; i < 20; i++) {
      const fd = openSync(path, "r");
      sender.send({ i }, Buffer.alloc(100_000), [fd]);
      closeSync(fd);
    }
    unlinkSync(path);
    while (messages.length < 20) await settle();
    const text = Buffer.alloc(18);
    for (const { descriptors } of messages) {
      expect(descriptors.length).toBe(1);
      readSync(descriptors[0] as number, text, 0, 18, 0);
      expect(text.toString()).toBe("through the socket");
      closeSync(descriptors[0] as number);
    }
  });

  it.each([
    ["no length", Buffer.of(0, 0), /no JSON length/],
    ["a length past its end", datagram("{}", Buffer.alloc(0), 3), /announced in a datagram/],
    ["a huge length", datagram("{}", Buffer.alloc(0), 0xffffffff), /announced in a datagram/],
    ["no JSON", datagram("{"), /not JSON/],
    ["an array", datagram("[]"), /not a JSON object/],
    ["no blob length", datagram("{}"), /a blob length/],
    ["a negative blob length", datagram('{"blob":-1}'), /a blob length/],
    ["a blob over the limit", datagram('{"blob":1000001}'), /a blob length/],
    ["more than the announced blob", datagram('{"blob":1}', Buffer.alloc(2)), /bytes follow/],
  ])("ends on a datagram with %s", async (_, bytes, reason) => {
    const { other, ended, messages } = half();
    sendPacket(other, bytes);
    expect(await ended).toMatch(reason);
    expect(messages).toEqual([]);
  });

  it("ends when a continued blob is longer than announced, or comes with descriptors, and keeps none of them", async () => {
    const before = openDescriptors();
    const first = half();
    sendPacket(first.other, datagram('{"blob":3}', Buffer.alloc(1)));
    sendPacket(first.other, Buffer.alloc(3));
    expect(await first.ended).toMatch(/announced length/);
    const second = half();
    sendPacket(second.other, datagram('{"blob":3}', Buffer.alloc(1)), [0]);
    sendPacket(second.other, Buffer.alloc(2), [0, 1]);
    expect(await second.ended).toMatch(/announced length/);
    for (const fd of fds.splice(0)) libc.close(fd);
    expect(openDescriptors()).toBeLessThanOrEqual(before);
  });

  it("tells that the other end went away", async () => {
    const { other, ended } = half();
    libc.close(fds.splice(fds.indexOf(other), 1)[0] as number);
    expect(await ended).toMatch(/closed by the other end/);
  });

  it("survives any bytes: a message, or the end with a reason", async () => {
    let x = 42;
    const random = () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0) >>> 24;
    const outcomes = { message: 0, end: 0 };
    for (let i = 0; i < 300; i++) {
      const { other, ended, messages } = half();
      const bytes = datagram('{"type":"released","blob":5}', Buffer.alloc(5));
      for (let flips = 0; flips < 3; flips++) bytes[random() % bytes.length] = random();
      sendPacket(other, bytes);
      libc.close(fds.splice(fds.indexOf(other), 1)[0] as number);
      await ended;
      outcomes[messages.length > 0 ? "message" : "end"]++;
    }
    expect(outcomes.message).toBeGreaterThan(0);
    expect(outcomes.end).toBeGreaterThan(0);
    expect(outcomes.message + outcomes.end).toBe(300);
  });

  it("refuses to send what the other end would not take", () => {
    const { sender } = whole();
    expect(() => sender.send({ text: "x".repeat(40_000) })).toThrow(RangeError);
    expect(() => sender.send({}, Buffer.alloc(1_000_001))).toThrow(RangeError);
    expect(() => sender.send({}, Buffer.alloc(0), [0, 0, 0, 0, 0])).toThrow(RangeError);
  });
});
