import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setTimeout as sleep } from "node:timers/promises";
import { cutSegments, segmentation } from "../../src-agent/linkemu/superPacket.ts";
import { labUp } from "../../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../../src-main/testbeds/local/localLab.ts";
import type { LinkChange } from "../../src-shared/api/lab.ts";
import { LabSandbox, onHost, whyNoLab } from "../support/lab.ts";
import { checksumAccepted, packet } from "../support/linkemu.ts";
import { ask, findScapy } from "../vectors/oracles.ts";
import { fileURLToPath } from "node:url";

const reason = whyNoLab();
const lanes = `name: lanes
sites: { s: {}, t: {}, u: {} }
paths: [{ between: ["*", "*"], delay: 5 ms }]
hosts:
  a: { site: s }
  b: { site: t }
  c: { site: u }
`;
const serve = "error_log /tmp/e.log; pid /tmp/n.pid; events {} http { access_log off; server { listen [::]:8080; root /tmp; } }";

describe("cut super-packets, read by scapy", () => {
  it.for([0, 24])("are well-formed TCP segments, %i bytes of options before TCP", (options, context) => {
    const scapy = findScapy();
    if ("missing" in scapy) return context.skip(scapy.missing);
    const source = packet({ from: 0, to: 1, payload: 7 * 1400 + 99, segment: 1400, options, flags: 0x19 });
    const cut = segmentation(source, 0, source.length);
    const parts = Array.from({ length: cut.segments }, (_, i) => {
      const target = Buffer.alloc(4096);
      const length = cutSegments(source, 0, source.length, cut, i, i + 1, target, 0);
      const part = target.subarray(0, length);
      checksumAccepted(part); // finishes the checksum as a card would
      return part.subarray(24).toString("hex");
    });
    const read = ask(scapy.python, [fileURLToPath(new URL("../vectors/scapy_tcp.py", import.meta.url))], parts.join("\n")).trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(read.map((r) => [r["lengthsOk"], r["checksumOk"]])).toEqual(parts.map(() => [true, true]));
    expect(read.map((r) => r["sequence"])).toEqual(parts.map((_, i) => (0xfffffff0 + 1400 * i) % 2 ** 32));
    expect(read.map((r) => r["flags"])).toEqual(parts.map((_, i) => (i === parts.length - 1 ? "FPA" : "A")));
    expect(read.map((r) => r["payload"]).join("")).toBe(source.subarray(84 + options).toString("hex"));
  });
});

describe.skipIf(reason)(`the link emulator on real packets${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let sandbox: LabSandbox;
  let lab: LocalLab;
  beforeAll(async () => {
    sandbox = new LabSandbox();
    lab = await labUp(sandbox.file("lanes.yaml", lanes), { seed: 11, attached: true });
    for (const host of ["a", "b"]) {
      const { code, stderr } = await onHost(lab, host, `head -c 40000000 /dev/urandom > /tmp/f; echo '${serve}' > /tmp/n.conf; sudo nginx -c /tmp/n.conf`);
      if (code !== 0) throw new Error(`nginx does not start: ${stderr}`);
    }
  });
  afterAll(() => sandbox?.close());

  const set = (from: string, to: string, change: LinkChange) => lab.linkSet([{ link: { from, to }, bothWays: false, change }]);
  const counters = async (from: string, to: string) => {
    const { traffic } = await lab.status();
    return traffic.find((pair) => pair.from === from && pair.to === to) ?? { packets: 0, bytes: 0, drops: {} as Record<string, number> };
  };
  const download = (host: string, from: string, path = "f") => onHost(lab, host, `curl -sS --max-time 60 http://${from}:8080/${path} | sha256sum`);
  const sumOf = (host: string) => onHost(lab, host, "sha256sum < /tmp/f");

  it("carries super-packets whole where nothing slows them, byte for byte", async () => {
    const before = await onHost(lab, "a", "cat /sys/class/net/eth0/statistics/tx_packets");
    expect((await download("c", "a")).stdout).toBe((await sumOf("a")).stdout);
    const after = await onHost(lab, "a", "cat /sys/class/net/eth0/statistics/tx_packets");
    const segments = (await counters("a", "c")).packets;
    const frames = Number(after.stdout) - Number(before.stdout);
    console.log(`40 MB: ${segments} segments in ${frames} frames`);
    expect(segments).toBeGreaterThan(40e6 / 1440);
    expect(segments / frames).toBeGreaterThan(3);
  });

  it("keeps TCP byte-exact through loss in the middle of super-packets, both ways, with jitter", async () => {
    await set("a", "c", { loss: 0.02, jitterMs: 2 });
    await set("c", "a", { loss: 0.02 });
    const before = await counters("a", "c");
    expect((await download("c", "a")).stdout).toBe((await sumOf("a")).stdout);
    const after = await counters("a", "c");
    await lab.linkReset();
    const lost = (after.drops["loss"] ?? 0) - (before.drops["loss"] ?? 0);
    const share = lost / (lost + after.packets - before.packets);
    console.log(`2 % loss stated: ${(share * 100).toFixed(2)} % of ${lost + after.packets - before.packets} segments`);
    expect(share).toBeGreaterThan(0.015); // 6 standard deviations either side
    expect(share).toBeLessThan(0.025);
    const { stdout } = await onHost(lab, "c", "nstat -az TcpInErrs TcpInCsumErrors | awk '!/#/ { print $2 }'");
    expect(stdout.trim().split("\n")).toEqual(["0", "0"]);
  });

  it("shares a receiver's ingress rate among its senders and never exceeds it", async () => {
    await set("*", "c", { rate: 20e6 });
    await onHost(lab, "a", "head -c 3000000 /tmp/f > /tmp/g");
    await onHost(lab, "b", "head -c 3000000 /tmp/f > /tmp/g");
    const started = performance.now();
    const results = await Promise.all(["a", "b"].map((from) => download("c", from, "g")));
    const seconds = (performance.now() - started) / 1000;
    await lab.linkReset();
    expect(results.map((r) => r.stderr)).toEqual(["", ""]);
    expect((6e6 * 8) / seconds).toBeLessThan(20e6);
  });

  it("accounts for every packet of a flood, and holds no more than the queue allows", async () => {
    await set("b", "c", { rate: 5e6, queue: { bytes: 100_000 } });
    const before = await counters("b", "c");
    const sent = 20_000;
    await onHost(lab, "b", `sudo ping -q -f -l 500 -s 952 -c ${sent} -W 1 c`);
    let most = 0;
    for (let i = 0; i < 5; i++) most = Math.max(most, (await lab.status()).emulator?.waitingBytes ?? 0);
    await sleep(500);
    const after = await counters("b", "c");
    const { emulator } = await lab.status();
    await lab.linkReset();
    const dropped = (after.drops["path queue"] ?? 0) - (before.drops["path queue"] ?? 0);
    const passed = after.packets - before.packets;
    console.log(`${sent} sent: ${passed} passed, ${dropped} dropped, ${emulator?.drops["overrun"] ?? 0} never read`);
    expect(passed + dropped + (emulator?.drops["overrun"] ?? 0)).toBeGreaterThanOrEqual(sent);
    expect(passed + dropped).toBeLessThanOrEqual(sent + 5);
    expect(dropped).toBeGreaterThan(0);
    expect(most).toBeLessThan(200_000);
    expect(emulator).toMatchObject({ waiting: 0, waitingBytes: 0 });
  });
});
