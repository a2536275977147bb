import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PacketChannel } from "../../src-agent/linux/packetChannel.ts";
import { connectUnix } from "../../src-agent/linux/unixSocket.ts";
import { ServiceHost } from "../../src-agent/services/serviceHost.ts";
import { RemoteClient } from "./tcp/remoteClient.ts";
import { client, home, whyNoWorld, World, type Member } from "./tcp/world.ts";

const why = whyNoWorld();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (what: string, holds: () => boolean) => {
  for (let i = 0; !holds(); i++) {
    if (i > 1000) throw new Error(`never: ${what}`);
    await sleep(20);
  }
};

/** The service process that a member started for `service`. */
function servicePid(member: Member, service: string): number | undefined {
  const parent = member.process.pid as number;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const isChild = new RegExp(`^PPid:\\s${parent}$`, "m").test(readFileSync(`/proc/${pid}/status`, "utf8"));
        return isChild && readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(service);
      } catch {
        return false;
      }
    });
}

describe.skipIf(why !== null)(`service processes${why ? ` (skipped: ${why})` : ""}`, () => {
  let world: World;
  const clients: RemoteClient[] = [];
  const connect = async (port: number) => {
    const made = await RemoteClient.connect(world, port);
    clients.push(made);
    return made;
  };
  /** An echo that has answered once, so that it is surely served. */
  const echoing = async (port: number) => {
    const made = await connect(port);
    await made.do({ do: "text", text: "hello" });
    await made.until("the echo", ({ text }) => text === "hello");
    return made;
  };
  const stillEchoes = async (each: RemoteClient, word: string) => {
    await each.do({ do: "text", text: word });
    expect(await each.until(`the echo of ${word}`, ({ text }) => text.endsWith(word))).toMatchObject({ error: null, ended: false });
  };
  const tell = async (each: RemoteClient, mood: string) => {
    await each.do({ do: "text", text: mood });
    await each.until(`it heard ${mood}`, ({ text }) => text.endsWith(mood));
  };
  const registrations = (member: Member, service: string) => member.log.filter((line) => line.includes(`${service} `) && line.includes("serves")).length;
  const kill = async (member: Member, service: string) => {
    const before = registrations(member, service);
    process.kill(servicePid(member, service) as number, "SIGKILL");
    return () => until(`${service} is back`, () => registrations(member, service) > before);
  };

  beforeAll(async () => {
    world = new World();
    await world.offer("echo", 7, ["echo"]);
    await world.offer("rogue", 8, ["rogue"], true);
    await world.offer("single", 9, null);
  });
  afterEach(async () => {
    for (const each of clients.splice(0)) each.close();
    for (const member of [world.a, world.b]) {
      for (let i = 0; (await member.call<unknown[]>({ do: "connections", home, client })).length > 0; i++) {
        if (i > 500) throw new Error(`${member.namespace} still has connections`);
        await sleep(20);
      }
    }
    world.route(world.a);
  });
  afterAll(() => world?.close());

  it("have no capabilities and cannot get any", () => {
    for (const service of ["echo", "rogue"]) {
      const status = readFileSync(`/proc/${servicePid(world.a, service)}/status`, "utf8");
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(status, set).toMatch(new RegExp(`^${set}:\\s0+$`, "m"));
      expect(status).toMatch(/^NoNewPrivs:\s1$/m);
    }
  });

  it("die: their connections are reset with a reason, others go on, and they come back", async () => {
    const other = await echoing(7);
    const doomed = await echoing(8);
    const before = registrations(world.a, "rogue");
    await doomed.do({ do: "text", text: "die" });
    expect(await doomed.until("the reset", ({ error }) => error !== null)).toMatchObject({ error: "ECONNRESET" });
    await until("the service is back", () => registrations(world.a, "rogue") > before);
    expect(world.a.log.join("\n")).toMatch(/rogue \[.*\]:\d+: reset: its service process ended/);
    await echoing(8);
    await stillEchoes(other, "unharmed");
  });

  it("fail on one connection: only that one is reset", async () => {
    const [good, bad] = [await echoing(8), await echoing(8)];
    await bad.do({ do: "text", text: "throw" });
    expect(await bad.until("the reset", ({ error }) => error !== null)).toMatchObject({ error: "ECONNRESET" });
    await until("the reason is logged", () => world.a.log.some((line) => line.includes("the service failed: told to throw")));
    await stillEchoes(good, "good");
  });

  it("keep a connection: the handoff is refused, says which and why, and all go on", async () => {
    const [keeping, other] = [await echoing(8), await echoing(7)];
    await tell(keeping, "keep");
    await expect(world.move(world.a)).rejects.toMatchObject({ code: "refused", message: expect.stringMatching(/^rogue \[2001:db8:a::2\]:\d+: told to keep it$/) });
    await stillEchoes(keeping, "kept");
    await stillEchoes(other, "kept too");
    const { connections } = await world.move(world.a);
    expect(connections).toBe(2);
    await stillEchoes(keeping, "moved");
  });

  it("die while letting go: their connection is reset, the others still move", async () => {
    const [crashing, other] = [await echoing(8), await echoing(7)];
    await tell(crashing, "crash");
    const { connections } = await world.move(world.a);
    expect(connections).toBe(1);
    expect(await crashing.until("the reset", ({ error }) => error !== null)).toMatchObject({ error: "ECONNRESET" });
    await stillEchoes(other, "moved");
    await until("the service is back", () => servicePid(world.a, "rogue") !== undefined);
  });

  it("hang while letting go: the handoff is refused, and they go on when they wake", async () => {
    const [hanging, other] = [await echoing(8), await echoing(7)];
    await tell(hanging, "hang");
    await expect(world.move(world.a)).rejects.toMatchObject({ code: "refused", message: expect.stringContaining("did not answer") });
    await stillEchoes(other, "unharmed");
    await stillEchoes(hanging, "awake");
  });

  it("take long to let go: a connection that the client starts meanwhile is not caught half done", async () => {
    const hanging = await echoing(8);
    await tell(hanging, "hang");
    const release = world.a.call({ do: "release", home, client, handoff: "long" }).then(
      () => "released",
      (error: Error & { code: string }) => error.code,
    );
    await sleep(200);
    const { client: late, connected } = RemoteClient.start(world, 7);
    clients.push(late);
    expect(await Promise.race([release, connected])).toBe("refused");
    expect(await connected).toMatchObject({ connected: true, error: null });
    await stillEchoes(late, "late");
    // Another client's connections, and this one's later, are none of the guard's business.
    await echoing(7);
  });

  it("die at the donor after letting go: the handoff goes on without them", async () => {
    const echo = await echoing(7);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "donor" });
    const back = await kill(world.a, "echo");
    await world.b.call({ do: "prepareAdopt", home, client, handoff: "donor", bundle });
    world.route(world.b);
    await world.a.call({ do: "destroy", handoff: "donor" });
    expect(await world.b.call({ do: "activate", handoff: "donor" })).toEqual({ failed: [] });
    await stillEchoes(echo, "moved");
    await back();
  });

  it("die at the donor, and the handoff fails: the connection waits for the next process", async () => {
    const echo = await echoing(7);
    await world.a.call({ do: "release", home, client, handoff: "resumed" });
    const back = await kill(world.a, "echo");
    await echo.do({ do: "text", text: "meanwhile" });
    await world.a.call({ do: "resume", handoff: "resumed" });
    await back();
    expect(await echo.until("the echo", ({ text }) => text.endsWith("meanwhile"))).toMatchObject({ error: null });
  });

  it("die at the acceptor before they have taken over: the connection waits for the next process", async () => {
    const echo = await echoing(7);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "acceptor" });
    await world.b.call({ do: "prepareAdopt", home, client, handoff: "acceptor", bundle });
    const back = await kill(world.b, "echo");
    await sleep(30);
    world.route(world.b);
    await world.a.call({ do: "destroy", handoff: "acceptor" });
    expect(await world.b.call({ do: "activate", handoff: "acceptor" })).toEqual({ failed: [] });
    await back();
    await stillEchoes(echo, "late");
  });

  it("are missing at the acceptor: it refuses, and the donor takes the connection back", async () => {
    const adapter = join(import.meta.dirname, "../../src-adapter/main.ts");
    const only = world.run([process.execPath, adapter, "echo", "--socket", join(world.directory, `${world.a.namespace}.sock`), "--name", "single", "--port", "9"], { stdio: "ignore" }, world.a.namespace);
    await until("the donor's process serves", () => registrations(world.a, "single") === 1);
    const echo = await echoing(9);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "missing" });
    await expect(world.b.call({ do: "prepareAdopt", home, client, handoff: "missing", bundle })).rejects.toMatchObject({ code: "no-service", message: expect.stringContaining("not running here") });
    await world.a.call({ do: "resume", handoff: "missing" });
    await stillEchoes(echo, "back");
    only.kill("SIGTERM");
  });
});

describe.skipIf(why !== null)(`processes that do not keep to the protocol${why ? ` (skipped: ${why})` : ""}`, () => {
  let world: World;
  let host: ServiceHost;
  const log: string[] = [];
  let socketPath = "";
  const register = { type: "register", protocol: 1, service: "extra", port: 4, version: "0" };

  beforeAll(async () => {
    world = new World();
    socketPath = join(world.directory, "protocol.sock");
    host = new ServiceHost({ socketPath, clock: { mono: () => performance.now(), wall: Date.now }, log: (level, text) => log.push(`${level}: ${text}`), drop: () => {}, allowedUids: [4711] });
    await world.offer("echo", 7, ["echo"]);
    await world.offer("extra", 4, null);
  });
  afterAll(async () => {
    await host?.close();
    await world?.close();
  });

  /** Says something to the agent of member a and collects its answers until it hangs up. */
  async function say(...messages: [message: Record<string, unknown>, blob?: Uint8Array, fds?: number[]][]): Promise<{ answers: unknown[]; end: string }> {
    const channel = new PacketChannel(connectUnix(join(world.directory, `${world.a.namespace}.sock`)), { maximumBlob: 2_000_000 });
    const answers: unknown[] = [];
    channel.onMessage(({ json }) => answers.push(json));
    const end = new Promise<string>((resolve) => channel.onClose(resolve));
    for (const [message, blob, fds] of messages) channel.send(message, blob, fds);
    const reason = await end;
    channel.close();
    return { answers, end: reason };
  }

  it.each([
    ["an unknown message", { type: "nonsense" }],
    ["no type", {}],
    ["something before it registers", { type: "adopted", connection: 1 }],
    ["a port that is none", { ...register, port: 70000 }],
    ["a connection that is no number", { type: "closed", connection: "1", how: "reset", reason: "" }],
  ])("are hung up on for %s", async (_, message) => {
    expect(await say([message])).toMatchObject({ answers: [] });
  });

  it.each([
    ["another protocol", { ...register, protocol: 2 }, "protocol"],
    ["a service that is not offered", { ...register, service: "other" }, "not-offered"],
    ["a service that another process serves", { ...register, service: "echo", port: 7 }, "taken"],
  ])("are told why not for %s", async (_, message, code) => {
    expect(await say([message])).toMatchObject({ answers: [{ type: "refused", code }] });
  });

  it.each([
    ["a second registration", [register]],
    ["descriptors", [{ type: "adopted", connection: 1 }, new Uint8Array(0), [0]]],
    ["state where none belongs", [{ type: "adopted", connection: 1 }, new Uint8Array(10)]],
    ["too much state", [{ type: "released", request: 1, connection: 1 }, new Uint8Array(1_100_000)]],
  ] as [string, [Record<string, unknown>, Uint8Array?, number[]?]][])("are hung up on for %s, and the service can register again", async (_, message) => {
    const { answers } = await say([register], message);
    expect(answers).toEqual([expect.objectContaining({ type: "registered", home })]);
  });

  it("cannot touch another service's connections, and the agent is unharmed", async () => {
    const echo = await RemoteClient.connect(world, 7);
    await echo.do({ do: "send", bytes: 100 });
    await echo.until("the echo", ({ received }) => received === 100);
    for (let id = 1; id <= 20; id++) await Promise.race([say([register], [{ type: "closed", connection: id, how: "reset", reason: "" }]), sleep(30)]);
    await echo.do({ do: "send", bytes: 100 });
    expect(await echo.until("the echo", ({ received }) => received === 200)).toMatchObject({ mismatch: null, error: null });
    echo.close();
  });

  it("are let in by user: ours and those allowed, as the kernel knows them", async () => {
    const connectAs = async (uid: number) => {
      const before = log.length;
      process.seteuid?.(uid);
      let fd: number;
      try {
        fd = connectUnix(socketPath);
      } finally {
        process.seteuid?.(0);
      }
      const channel = new PacketChannel(fd, { maximumBlob: 10 });
      const answers: unknown[] = [];
      channel.onMessage(({ json }) => answers.push(json));
      channel.send(register);
      await new Promise((resolve) => channel.onClose(resolve));
      return { answers, log: log.slice(before).join("\n") };
    };
    // The directory keeps others out unless it is opened on purpose.
    chmodSync(world.directory, 0o711);
    expect(await connectAs(4712)).toMatchObject({ answers: [], log: expect.stringMatching(/of user 4712 may not serve here/) });
    expect((await connectAs(4711)).answers).toEqual([expect.objectContaining({ code: "not-offered" })]);
  });
});
