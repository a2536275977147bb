import { describe, expect, it } from "vitest";
import { emulatorAt, free, packet } from "../../test/support/linkemu.ts";

const kilobyte = () => packet({ from: 0, to: 1, payload: 1000 - 48 });
/** 1000 bytes of IPv6 take 1 ms. */
const rate = 8_000_000;

describe("Emulator", () => {
  it("delivers after the delays of egress, path and ingress, to the host that the destination says", () => {
    const { send, run, left } = emulatorAt(3, { delayMs: 20 }, (config) => {
      config.links.access[0]!.egress = { ...free, delayMs: 3 };
      config.links.access[1]!.ingress = { ...free, delayMs: 4 };
      config.links.access[1]!.egress = { ...free, delayMs: 100 };
    });
    send(kilobyte(), 0, 5);
    run(1000);
    expect(left.map(({ at, to }) => ({ at, to }))).toEqual([{ at: 32, to: 1 }]);
  });

  it("rewrites the Ethernet addresses and lowers the hop limit, and nothing else", () => {
    const { send, left } = emulatorAt(2, {});
    const sent = kilobyte();
    send(Buffer.from(sent), 0, 0);
    const got = left[0]!.bytes;
    expect(got.subarray(10, 22).toString("hex")).toBe("020000000101020000000001");
    expect(got[31]).toBe(63);
    sent.copy(got, 10, 10, 22);
    got[31] = 64;
    expect(got.equals(sent)).toBe(true);
  });

  it("counts a packet's wait from its arrival, however late it is read", () => {
    const { send, run, left } = emulatorAt(2, { delayMs: 20 });
    send(kilobyte(), 0, 0);
    run(15);
    send(kilobyte(), 0, 10); // arrived at 10, read at 15
    run(1000);
    expect(left.map((l) => l.at)).toEqual([20, 30]);
  });

  it("spaces packets by the rate, and drops at the tail what would wait longer than the queue", () => {
    const { send, run, left, emulator } = emulatorAt(2, { rate, queue: { ms: 10 } });
    for (let i = 0; i < 30; i++) send(kilobyte(), 0, 0);
    run(1000);
    expect(left.map((l) => l.at)).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
    expect(emulator.report().pairs[0]).toMatchObject({ packets: 11, bytes: 11_000, drops: { "path queue": 19 } });
  });

  it("takes a queue limit in bytes, and always one packet", () => {
    const { send, run, left } = emulatorAt(2, { rate, queue: { bytes: 100 } });
    for (let i = 0; i < 5; i++) send(kilobyte(), 0, 0);
    run(1.01);
    send(kilobyte(), 0, 1.01);
    run(1000);
    expect(left.map((l) => l.at)).toEqual([1, 2.01]);
  });

  it("does not let its own lateness add up: each stage counts from when the one before was due", () => {
    const { left, send, wake, emulator } = emulatorAt(2, { delayMs: 20 }, (config) => {
      config.links.access[1]!.ingress = { ...free, rate };
    });
    send(kilobyte(), 0, 0);
    send(kilobyte(), 0, 1);
    wake(21.5); // the first is due at 21, the second leaves the delay line at 21 and the ingress at 22
    expect(left.map((l) => l.at)).toEqual([21.5]);
    expect(emulator.nextDue).toBe(22);
    wake(22);
    expect(left.length).toBe(2);
  });

  it("shares a receiver's ingress rate in the order of arrival there, not of sending", () => {
    const { send, run, left } = emulatorAt(3, {}, (config) => {
      config.links.paths.push({ name: "far", quality: { ...free, delayMs: 80 } });
      config.links.pathOf[0]![2] = 1;
      config.links.access[2]!.ingress = { ...free, rate };
    });
    send(packet({ from: 0, to: 2, payload: 952 }), 0, 0); // far: reaches the ingress at 80
    send(packet({ from: 1, to: 2, payload: 952 }), 1, 1); // near: at 1
    run(1000);
    expect(left.map((l) => l.at)).toEqual([2, 81]);
  });

  it("keeps the packets of a pair in order under jitter", () => {
    const { send, run, left, emulator } = emulatorAt(2, { delayMs: 10, jitterMs: 20 });
    for (let i = 0; i < 200; i++) {
      const p = kilobyte();
      p.writeUInt32BE(i, 72);
      run(i * 0.5);
      send(p, 0, i * 0.5);
    }
    run(1000);
    expect(left.map((l) => l.bytes.readUInt32BE(72))).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(emulator.report().lateness.maxUs).toBe(1); // nothing was due before it could leave
    const waits = left.map((l, i) => l.at - i * 0.5);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30);
  });

  it("loses the stated share of segments, of super-packets too", () => {
    const { send, emulator } = emulatorAt(2, { loss: 0.1 });
    for (let i = 0; i < 500; i++) send(packet({ from: 0, to: 1, payload: 40 * 1400, segment: 1400 }), 0, i);
    const [pair] = emulator.report().pairs;
    expect(pair!.packets + (pair!.drops["loss"] ?? 0)).toBe(20_000);
    expect((pair!.drops["loss"] ?? 0) / 20_000).toBeGreaterThan(0.09); // 7 standard deviations
    expect((pair!.drops["loss"] ?? 0) / 20_000).toBeLessThan(0.11);
  });

  it("lets a super-packet through whole, but in parts of at most 1 ms where a link is slow", () => {
    const big = () => packet({ from: 0, to: 1, payload: 40 * 1400, segment: 1400 });
    const fast = emulatorAt(2, { rate: 1e9 });
    fast.send(big(), 0, 0);
    fast.run(1000);
    expect(fast.left.length).toBe(1);
    const slow = emulatorAt(2, { rate: 50e6 });
    slow.send(big(), 0, 0);
    slow.run(1000);
    expect(slow.left.length).toBe(10); // 4 segments of 1460 bytes take 0.93 ms
    expect(slow.left[0]!.at).toBeCloseTo((4 * 1460 * 8) / 50e3, 6);
    expect(slow.left.at(-1)!.at).toBeCloseTo((40 * 1460 * 8) / 50e3, 6);
  });

  it("answers a packet beyond the path's MTU with Packet Too Big, and drops it", () => {
    const { send, left, emulator } = emulatorAt(2, { mtu: 1400 });
    send(packet({ from: 0, to: 1, payload: 1400 }), 0, 0);
    send(packet({ from: 0, to: 1, payload: 30 * 1400, segment: 1400 }), 0, 0);
    expect(left.map((l) => l.to)).toEqual([0, 0]);
    const answer = left[0]!.bytes.subarray(24);
    expect([answer[6], answer[40], answer[41], answer.readUInt32BE(44)]).toEqual([58, 2, 0, 1400]);
    expect(answer.length).toBe(1280);
    expect(emulator.report().pairs[0]!.drops).toEqual({ "too big": 31 });
    send(packet({ from: 0, to: 1, payload: 1352 }), 0, 0);
    expect(left.at(-1)!.to).toBe(1);
  });

  it("answers hop limit and missing routes, but never an ICMPv6 error or an unspecified source", () => {
    const { send, left, emulator } = emulatorAt(2, {});
    send(packet({ from: 0, to: 1, payload: 10, hopLimit: 1 }), 0, 0);
    send(packet({ from: 0, to: 9, payload: 10 }), 0, 0);
    expect(left.map((l) => [l.to, l.bytes[64], l.bytes[65]])).toEqual([[0, 3, 0], [0, 1, 0]]);
    const error = packet({ from: 0, to: 9, payload: 10 });
    error[30] = 58;
    error[64] = 1;
    send(error, 0, 0);
    const unspecified = packet({ from: 0, to: 9, payload: 10 });
    unspecified.fill(0, 32, 48);
    send(unspecified, 0, 0);
    expect(left.length).toBe(2);
    expect(emulator.report().drops).toEqual({ "no route": 3 });
  });

  it("drops multicast, link-local and what is not IPv6", () => {
    const { send, left, emulator } = emulatorAt(2, {});
    for (const [at, value] of [[48, 0xff], [48, 0xfe]] as const) {
      const p = kilobyte();
      p[at] = value;
      if (value === 0xfe) p[49] = 0x80;
      send(p, 0, 0);
    }
    const arp = kilobyte();
    arp.writeUInt16BE(0x0806, 22);
    send(arp, 0, 0);
    send(Buffer.alloc(30), 0, 0);
    expect(left).toEqual([]);
    expect(emulator.report().drops).toEqual({ multicast: 1, "link-local": 1, "not IPv6": 2 });
  });

  it("changes links at once: a cut takes what is under way, a new delay what comes after, a new rate what is queued", () => {
    const { send, run, left, emulator, config } = emulatorAt(2, { delayMs: 20, rate });
    const change = (quality: object, now: number) => emulator.setLinks({ ...config.links, paths: [{ name: "all", quality: { ...free, rate, ...quality } }] }, now);
    send(kilobyte(), 0, 0);
    change({ delayMs: 20, up: false }, 0);
    send(kilobyte(), 0, 1);
    run(100);
    expect(left).toEqual([]);
    expect(emulator.report().pairs[0]!.drops).toEqual({ down: 2 });
    change({ delayMs: 5 }, 100);
    send(kilobyte(), 0, 100);
    run(200);
    expect(left.map((l) => l.at)).toEqual([106]);
    for (let i = 0; i < 4; i++) send(kilobyte(), 0, 200);
    change({ delayMs: 5, rate: rate / 10 }, 200);
    run(300);
    expect(left.slice(1).map((l) => Math.round(l.at))).toEqual([215, 225, 235, 245]);
  });

  it("refuses a table that does not fit its hosts, and stays as it was", () => {
    const { emulator, config, send, run, left } = emulatorAt(2, { delayMs: 20 });
    expect(() => emulator.setLinks({ ...config.links, pathOf: [[0]] }, 0)).toThrow(/2 × 2 pairs/);
    expect(() => emulator.setLinks({ ...config.links, pathOf: [[0, 1], [0, 0]] }, 0)).toThrow(/one of 1 paths/);
    expect(() => emulator.setLinks({ ...config.links, access: [] }, 0)).toThrow(/0 access links for 2 hosts/);
    send(kilobyte(), 0, 0);
    run(100);
    expect(left[0]!.at).toBe(20);
  });

  it("never takes more memory than it was given: it drops, counts, and recovers", () => {
    const { send, run, emulator, left } = emulatorAt(2, { delayMs: 1000 });
    for (let i = 0; i < 10_000; i++) send(kilobyte(), 0, i / 1000);
    const before = emulator.report();
    expect(before.waiting).toBe((8 << 20) / 2048); // each in a slot of 2 KiB
    expect(before.pairs[0]!.drops["memory"]).toBe(10_000 - before.waiting);
    run(5000);
    expect(emulator.report()).toMatchObject({ waiting: 0, waitingBytes: 0 });
    send(kilobyte(), 0, 5000);
    run(9000);
    expect(left.length).toBe(before.waiting + 1);
  });
});
