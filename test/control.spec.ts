import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlServer } from "../src-agent/control/server.ts";
import { turnOver } from "../src-agent/control/log-file.ts";
import type { ControlHandlers, SessionLimits } from "../src-agent/control/session.ts";
import { AgentCallError, AgentClient } from "../src-main/services/agent-client.ts";
import { estimateOffset, measureClock, toManagerTime, withDrift } from "../src-main/services/clock.ts";
import type { AgentEvent } from "../src-shared/api/events.ts";
import { LineReader } from "../src-shared/api/lines.ts";

const event = (sequence: number, text = "x"): AgentEvent => ({ sequence, mono: sequence, wall: 1, body: { type: "log", level: "info", text } });

describe("the control channel", () => {
  let directory: string;
  let path: string;
  let server: ControlServer;
  const clients: AgentClient[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "acl-control-"));
    path = join(directory, "control.sock");
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    server?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function serve(handlers: Record<string, (args: never) => Promise<unknown>>, limits?: Partial<SessionLimits>): Promise<void> {
    server = new ControlServer({ path, handlers: handlers as unknown as ControlHandlers, ...(limits && { limits }) });
    await server.listen();
  }
  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(socket)).once("error", reject);
    });
  async function client(): Promise<AgentClient> {
    const made = new AgentClient("h1", await open());
    clients.push(made);
    return made;
  }
  /** Sends raw bytes and gathers what comes back until the other end closes. */
  async function raw(bytes: string): Promise<{ code: string }[]> {
    const socket = await open();
    socket.write(bytes);
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    return text.trim().split("\n").map((line) => JSON.parse(line).error);
  }

  it("makes calls, several at a time, and passes values and errors with their codes", async () => {
    await serve({
      clock: async () => ({ mono: 1.5, wall: 2 }),
      memberKey: async ({ group }: { group: string }) => (await new Promise((r) => setTimeout(r, 30)), { publicKey: `key of ${group}` }),
      leave: async () => {
        throw Object.assign(new Error("not in that group"), { code: "not-joined" });
      },
    });
    const c = await client();
    expect(await Promise.all([c.call("memberKey", { group: "g" }), c.call("clock", {})])).toEqual([{ publicKey: "key of g" }, { mono: 1.5, wall: 2 }]);
    const error = await c.call("leave", { group: "g" }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AgentCallError);
    expect(error).toMatchObject({ code: "agent.not-joined", agentCode: "not-joined", host: "h1", message: "h1: leave: not in that group" });
  });

  it("checks arguments and values on both ends", async () => {
    await serve({ clock: async () => ({ mono: "late" }) });
    const c = await client();
    await expect(c.call("memberKey", { group: "NOT A NAME" })).rejects.toThrow(/group/);
    await expect(c.call("clock", {})).rejects.toMatchObject({ code: "agent.bad-value" });
    const socket = await open();
    const answers: string[] = [];
    socket.on("data", (chunk) => answers.push(...String(chunk).trim().split("\n")));
    socket.write('{"id":7,"call":"memberKey","args":{}}\n{"id":8,"call":"constructor","args":{}}\nnot json\n{"id":"x"}\n\n');
    await expect.poll(() => answers.length).toBe(4);
    expect(answers.map((line) => JSON.parse(line)).map((m) => [m.id, m.error.code])).toEqual(
      expect.arrayContaining([
        [7, "bad-arguments"],
        [8, "unknown-call"],
        [0, "bad-request"],
        [0, "bad-arguments"],
      ]),
    );
    socket.destroy();
  });

  it("refuses endless lines and too many calls at a time, and says why", async () => {
    await serve({ clock: () => new Promise(() => {}) }, { line: 1000, calls: 3 });
    expect((await raw("x".repeat(5000))).at(-1)?.code).toBe("bad-request");
    expect((await raw('{"id":1,"call":"clock","args":{}}\n'.repeat(4))).at(-1)?.code).toBe("too-many-calls");
  });

  it("tells every manager every event in order, and lets one go that does not read", async () => {
    await serve({ clock: async () => ({ mono: 1, wall: 1 }) }, { queue: 200_000 });
    const [good, slow] = [await client(), await open()];
    slow.pause();
    const seen: number[] = [];
    good.onEvent((e) => seen.push(e.sequence));
    await good.call("clock", {});
    for (let i = 0; i < 3000; i++) {
      server.emit(event(i, "y".repeat(1000)));
      if (i % 50 === 0) await new Promise((r) => setImmediate(r));
    }
    await expect.poll(() => seen.length).toBe(3000);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    let text = "";
    for await (const chunk of slow) text += String(chunk);
    const last = JSON.parse(text.trim().split("\n").at(-1) as string);
    expect(last).toMatchObject({ id: 0, ok: false, error: { code: "too-slow" } });
  });

  it("rejects what is waiting when the channel ends, and calls after it", async () => {
    await serve({ clock: () => new Promise(() => {}) });
    const c = await client();
    const waiting = c.call("clock", {}, 0);
    waiting.catch(() => {});
    const slow = c.call("clock", {}, 20);
    await expect(slow).rejects.toMatchObject({ code: "agent.timeout" });
    server.close();
    await expect(waiting).rejects.toMatchObject({ code: "agent.lost", host: "h1" });
    expect(await c.closed).toMatchObject({ code: "agent.lost" });
    await expect(c.call("clock", {})).rejects.toMatchObject({ code: "agent.lost" });
  });

  it("passes over events that it does not know", async () => {
    await serve({ clock: async () => ({ mono: 1, wall: 1 }) });
    const c = await client();
    const seen: number[] = [];
    c.onEvent((e) => seen.push(e.sequence));
    await c.call("clock", {});
    server.emit({ ...event(1), body: { type: "somethingNew" } as never });
    server.emit(event(2));
    await expect.poll(() => seen).toEqual([2]);
  });

  it("makes a socket that is its user's alone, and refuses a directory that others may write to", async () => {
    await serve({});
    expect(statSync(path).mode & 0o777).toBe(0o600);
    server.close();
    expect(existsSync(path)).toBe(false);
    await chmod(directory, 0o777);
    await expect(serve({})).rejects.toThrow(/others may write/);
  });

  it("measures a clock within its error", async () => {
    const offset = 123_456.789;
    await serve({ clock: async () => ({ mono: Number(process.hrtime.bigint()) / 1e6 + offset, wall: Date.now() }) });
    const estimate = await measureClock(await client(), 10);
    expect(Math.abs(estimate.offsetMs - offset)).toBeLessThanOrEqual(estimate.errorMs + 0.001);
    expect(estimate.errorMs).toBeLessThanOrEqual(estimate.rttMs / 2 + 0.001);
  });
});

describe("clock estimates", () => {
  const sample = (sent: number, there: number, back: number, offset: number) => ({ sent, received: sent + there + back, mono: sent + there + offset, wallOffset: 0 });

  it("hold the true offset whatever the asymmetry of the path", () => {
    for (const [there, back] of [[5, 5], [1, 20], [20, 1]] as const) {
      const estimate = estimateOffset([sample(0, there, back, 1000), sample(100, there + 30, back, 1000), sample(200, there, back + 3, 1000)]);
      expect(Math.abs(estimate.offsetMs - 1000)).toBeLessThanOrEqual(estimate.errorMs + 1e-9);
      expect(estimate.rttMs).toBe(there + back);
    }
  });

  it("narrow when delays vary on both ways", () => {
    const estimate = estimateOffset([sample(0, 1, 9, 50), sample(100, 9, 1, 50)]);
    expect(estimate.errorMs).toBeCloseTo(1);
    expect(estimate.offsetMs).toBeCloseTo(50);
  });

  it("tell drift only where it stands out from the error, and use it", () => {
    const older = withDrift(estimateOffset([sample(0, 1, 1, 0)]), undefined);
    const near = withDrift(estimateOffset([sample(10_000, 1, 1, 0.5)]), older);
    expect(near.driftPpm).toBe(0);
    const far = withDrift(estimateOffset([sample(1_000_000, 1, 1, 50)]), older);
    expect(far.driftPpm).toBeCloseTo(50, 0);
    const managerTime = 1_100_000;
    expect(toManagerTime(managerTime + 55, far)).toBeCloseTo(managerTime, 1);
  });
});

describe("lines", () => {
  it("come whole however the bytes are cut, also within a character", () => {
    const bytes = new TextEncoder().encode('{"a":"ü€😀"}\n\nsecond\nrest');
    for (let size = 1; size < bytes.length; size++) {
      const reader = new LineReader(100);
      const lines: string[] = [];
      for (let at = 0; at < bytes.length; at += size) lines.push(...reader.push(bytes.subarray(at, at + size)));
      expect(lines).toEqual(['{"a":"ü€😀"}', "second"]);
    }
  });
});

describe("a bounded log", () => {
  it("moves over when it is too long and leaves a shorter one alone", () => {
    const directory = mkdtempSync(join(tmpdir(), "acl-log-"));
    const log = join(directory, "agent.log");
    writeFileSync(log, "short");
    turnOver(log, 100);
    expect(existsSync(`${log}.1`)).toBe(false);
    writeFileSync(log, "x".repeat(101));
    turnOver(log, 100);
    expect([statSync(log).size, statSync(`${log}.1`).size]).toEqual([0, 101]);
    turnOver(join(directory, "none"), 1);
    rmSync(directory, { recursive: true });
  });
});
