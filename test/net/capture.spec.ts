import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { mergeCaptures } from "../../src-main/capture/merge.ts";
import { finishRun } from "../../src-main/report/finish.ts";
import { PcapngReader } from "../../src-shared/pcapng/read.ts";
import { cannotAskOracles, judgeCapture } from "../support/captureOracle.ts";
import { cannotHaveNamespaces, run } from "../support/planeWorld.ts";
import { syntheticRun, syntheticScenario } from "../support/syntheticRun.ts";

const agent = fileURLToPath(new URL("../../src-agent/main.ts", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "capture-spec-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function skipReason(...reasons: readonly (string | null)[]): string | null {
  const reason = reasons.find((r) => r !== null) ?? null;
  if (reason) console.warn(`skipped the capture specs: ${reason}`);
  return reason;
}

describe.skipIf(skipReason(cannotAskOracles()) !== null)("signalling in a run's capture", () => {
  it("decodes in tshark without a complaint, its checksums in scapy; a broken one is found", async () => {
    const latencies = { L_KH: 5, L_HC: 12, L_DA: 7, L_AC: 20, L_DC: 10 };
    const folder = await syntheticRun(join(directory, "run"), { scenario: syntheticScenario, handoffs: [{ mode: "full", latencies }, { mode: "prepared", latencies }] });
    await finishRun(folder);
    const verdict = judgeCapture(folder.file("capture"));
    expect(verdict).toEqual({ messages: 8 + 4 + 4 + 8, complaints: [], badChecksums: [] });
    const comments = spawnSync("tshark", ["-r", folder.file("capture"), "-Y", "frame.comment", "-T", "fields", "-e", "frame.comment"], { encoding: "utf8" }).stdout;
    expect(comments).toMatch(/handoff h1 \(full, c: k -> a\): homeTestInit/);
    expect(comments).toMatch(/handoff h2 \(prepared, c: k -> a\): firstPacket/);
    expect(statSync(folder.file("capture")).mode & 0o777).toBe(0o600);

    const bytes = readFileSync(folder.file("capture"));
    // A bit of the first home test's cookie.
    const cookie = bytes.indexOf(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]));
    bytes[cookie] = 0xff;
    const broken = join(directory, "broken.pcapng");
    writeFileSync(broken, bytes);
    expect(judgeCapture(broken).badChecksums).toHaveLength(1);
  });
});

const prefix = `cap${process.pid}`;
const [left, right] = [`${prefix}a`, `${prefix}b`] as const;
const leftAddress = "2001:db8:ca::1";
const rightAddress = "2001:db8:ca::2";

describe.skipIf(skipReason(cannotHaveNamespaces()) !== null)("capture on an interface", () => {
  const children: ChildProcess[] = [];
  beforeAll(() => {
    for (const name of [left, right]) run("ip", "netns", "add", name);
    run("ip", "link", "add", "v0", "netns", left, "type", "veth", "peer", "name", "v0", "netns", right);
    for (const [name, address] of [
      [left, leftAddress],
      [right, rightAddress],
    ] as const) {
      run("ip", "-n", name, "addr", "add", `${address}/64`, "dev", "v0", "nodad");
      run("ip", "-n", name, "link", "set", "v0", "up");
    }
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });
  afterAll(() => {
    for (const name of [left, right]) spawnSync("ip", ["netns", "del", name]);
  });

  const inside = (namespace: string, command: readonly string[], stdio: "pipe" | "ignore" = "pipe"): ChildProcess => {
    const child = spawn("ip", ["netns", "exec", namespace, ...command], { stdio: ["pipe", stdio, "pipe"] });
    children.push(child);
    return child;
  };

  /** Starts a capture; resolves when it is live. */
  async function capture(namespace: string, host: string, ...args: readonly string[]): Promise<{ readonly file: string; readonly stop: () => Promise<{ received: number; dropped: number }> }> {
    const child = inside(namespace, [process.execPath, agent, "capture", "--interface", "v0", "--host", host, "--stop-with-stdin", ...args]);
    const file = join(directory, `${host}-${children.length}.pcapng`);
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    const out = child.stdout;
    if (!out) throw new Error("no standard output");
    await Promise.race([once(out, "readable"), once(child, "exit").then(() => Promise.reject(new Error(`the capture ended: ${said}`)))]);
    out.pipe(createWriteStream(file));
    return {
      file,
      stop: async () => {
        child.stdin?.end();
        await once(child, "close");
        return JSON.parse(said) as { received: number; dropped: number };
      },
    };
  }

  async function send(namespace: string, program: string): Promise<void> {
    const child = inside(namespace, ["/usr/bin/python3", "-c", program], "ignore");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(0);
  }

  const shark = (file: string, ...fields: readonly string[]) => {
    const ran = spawnSync("tshark", ["-r", file, "-T", "fields", ...fields.flatMap((field) => ["-e", field])], { encoding: "utf8" });
    expect(ran.status).toBe(0);
    return ran.stdout.split("\n").filter(Boolean).map((row) => row.split("\t"));
  };

  /** A TCP server that takes what comes, until it is killed. */
  async function server(port: number): Promise<void> {
    const child = inside(right, ["/usr/bin/python3", "-uc", `import socket\ns=socket.create_server(('::',${port}),family=socket.AF_INET6)\nprint('up')\nwhile 1:\n c,_=s.accept()\n while c.recv(65536): pass\n c.close()`]);
    await once(child.stdout as NodeJS.ReadableStream, "data");
  }
  const talk = (port: number, bytes: number) => `import socket\nc=socket.create_connection(('${rightAddress}',${port}))\nc.sendall(b'x'*${bytes})\nc.shutdown(1)\nwhile c.recv(100): pass`;

  it("keeps headers of TCP, signalling whole, both directions with the kernel's times, and leaves out SSH and the rest", async () => {
    await Promise.all([server(22), server(7135)]);
    const taken = await capture(left, "left");
    const before = Date.now();
    await send(left, talk(22, 5000));
    await send(left, talk(7135, 100_000));
    // A Mobility Header message (type 1, checksum by the kernel) with 200 bytes of padding options, and a UDP packet.
    await send(left, `import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_RAW,135)\ns.setsockopt(41,7,4)\ns.sendto(bytes([59,25,1,0,0,0])+b'12'+b'cookie12'+bytes([1,190])+bytes(190),('${rightAddress}',0))`);
    await send(left, `import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\ns.sendto(b'x'*100,('${rightAddress}',999))`);
    const { received, dropped } = await taken.stop();
    const after = Date.now();
    expect(dropped).toBe(0);
    const rows = shark(taken.file, "frame.time_epoch", "frame.len", "frame.cap_len", "ipv6.nxt", "tcp.port", "frame.packet_flags_direction", "tcp.len");
    expect(rows).toHaveLength(received);
    for (const [time] of rows) expect(Number(time) * 1000).toBeGreaterThan(before - 5);
    for (const [time] of rows) expect(Number(time) * 1000).toBeLessThan(after + 5);
    expect(rows.some((row) => row[4]?.split(",").includes("22"))).toBe(false);
    expect(rows.some((row) => row[3] === "17")).toBe(false);
    const tcp = rows.filter((row) => row[3] === "6");
    expect(new Set(tcp.map((row) => row[5]?.slice(-1)))).toEqual(new Set(["1", "2"]));
    expect(Math.max(...tcp.map((row) => Number(row[2])))).toBeLessThanOrEqual(114);
    expect(tcp.filter((row) => row[5]?.endsWith("2")).reduce((sum, row) => sum + Number(row[6]), 0)).toBeGreaterThanOrEqual(100_000);
    const signalling = rows.filter((row) => row[3] === "135");
    expect(signalling.length).toBeGreaterThan(0);
    for (const row of signalling) expect(row[2]).toBe(row[1]);
  });

  it("loses nothing of a trickle while its reader stands still for five seconds", async () => {
    await server(5002);
    const taken = await capture(left, "left");
    const program = children.at(-1) as ChildProcess;
    program.kill("SIGSTOP");
    await send(left, `import socket,time\nc=socket.create_connection(('${rightAddress}',5002))\nfor _ in range(125): c.sendall(b'x'); time.sleep(0.04)`);
    program.kill("SIGCONT");
    const { received, dropped } = await taken.stop();
    expect(dropped).toBe(0);
    expect(received).toBeGreaterThan(250);
  });

  it("loses nothing of a burst that fills many blocks, and both ends merge into one file in order", async () => {
    await server(5001);
    const captures = [await capture(left, "left"), await capture(right, "right")];
    await send(left, talk(5001, 30_000_000));
    for (const { stop } of captures) expect((await stop()).dropped).toBe(0);
    const target = join(directory, "merged.pcapng");
    const out = createWriteStream(target);
    const merged = await mergeCaptures(captures.map(({ file }, i) => ({ host: ["left", "right"][i] as string, stream: createReadStream(file), correctionMs: 0 })), out);
    out.end();
    await once(out, "close");
    expect(merged.map(({ dropped, truncated }) => ({ dropped, truncated }))).toEqual([
      { dropped: 0, truncated: false },
      { dropped: 0, truncated: false },
    ]);
    const times: number[] = [];
    for (const block of new PcapngReader().push(readFileSync(target))) {
      if (block.kind !== "packet") continue;
      times.push(block.packet.timeMs);
    }
    expect(times.every((time, i) => i === 0 || time >= (times[i - 1] as number))).toBe(true);
    const info = spawnSync("capinfos", ["-M", "-c", target], { encoding: "utf8" });
    expect(info.stdout).toMatch(new RegExp(`Number of packets:\\s+${times.length}\\b`));
  });

  it("says why it can't capture", async () => {
    const child = inside(left, [process.execPath, agent, "capture", "--interface", "nosuch0"]);
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(1);
    expect(said).toMatch(/capture on nosuch0: E[A-Z]+/);
  });
});
