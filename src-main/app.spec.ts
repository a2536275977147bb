import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AppWindow, Reply } from "../src-shared/api/app.ts";
import { appCallNames, appCalls, type AppCallName } from "../src-shared/api/app/calls.ts";
import { dispatch } from "../src-shared/api/app/dispatch.ts";
import { App } from "./app.ts";

let folder: string;
let app: App;
let pushed: { name: string; payload: unknown }[];
const before = { ...process.env };
const gone = new AbortController();

function start(): App {
  const fresh = new App({ runs: join(folder, "runs") });
  const window: AppWindow = { id: "w", shell: "memory", gone: gone.signal, emit: (name, payload) => void pushed.push({ name, payload }) };
  fresh.connect(window);
  return fresh;
}

const window: AppWindow = { id: "w", shell: "memory", gone: gone.signal, emit: () => undefined };
const ask = (call: string, args: unknown): Promise<Reply> => dispatch(app, { id: 1, call, args }, window) as Promise<Reply>;
async function value<T>(call: AppCallName, args: unknown): Promise<T> {
  const reply = await ask(call, args);
  if (!reply.ok) throw new Error(`${call}: ${JSON.stringify(reply.error)}`);
  return reply.value as T;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "app-"));
  Object.assign(process.env, { XDG_STATE_HOME: join(folder, "state"), XDG_CONFIG_HOME: join(folder, "config") });
  pushed = [];
  app = start();
});
afterEach(async () => {
  await app.close();
  for (const name of ["XDG_STATE_HOME", "XDG_CONFIG_HOME"]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
  rmSync(folder, { recursive: true, force: true });
});

/** Arguments that fit each call's schema and name things that are not there. */
const nothing: Readonly<Record<string, unknown>> = {
  lab: "lab-none", hosts: ["none"], host: "none", link: "none", task: "none", question: "none", secret: null, run: "none", scenario: "none", terminal: "none", capture: "none", handoff: "none",
  group: "none", client: "none", acceptor: "none", mode: "full", drain: false, after: 0, limit: 10, columns: 80, rows: 24, data: new Uint8Array(1), bytes: 1, fingerprint: "SHA256:x", name: "none", check: "none", text: "x", headersOnly: true,
  there: { delayMs: 1, jitterMs: 0, lossPercent: 0, rateMbit: null }, back: { delayMs: 1, jitterMs: 0, lossPercent: 0, rateMbit: null }, change: {}, protocol: 99,
};
function argsFor(call: AppCallName): unknown {
  const shape = (appCalls[call].args as unknown as { shape: Record<string, unknown> }).shape;
  return Object.fromEntries(Object.keys(shape).map((key) => [key, nothing[key]]));
}
const aboutNothing = new Set<AppCallName>(["preferences.set", "app.stopAll", "task.list", "question.list", "lab.list", "host.sshConfig", "scenario.list", "scenario.check", "run.list", "terminal.list", "run.log"]);

describe("the manager behind the window", () => {
  it("has a handler for every call, and no other", () => {
    expect(Object.keys(app.handlers).sort()).toEqual([...appCallNames].sort());
    for (const name of appCallNames) expect(typeof app.handlers[name], name).toBe("function");
  });

  it.each(appCallNames.filter((name) => !aboutNothing.has(name) && name !== "host.add"))("%s about what is not there answers a stable code and words, not a defect", async (call) => {
    const reply = await ask(call, argsFor(call));
    expect(reply).toMatchObject({ ok: false, error: { message: expect.stringMatching(/\S/) } });
    expect(reply.ok ? "answered" : reply.error.code).not.toMatch(/^(internal|unexpected|bad-value|bad-arguments)$/);
  });

  it.each([...aboutNothing].filter((name) => name !== "preferences.set"))("%s answers a value of its schema with nothing there", async (call) => {
    expect(await ask(call, argsFor(call))).toMatchObject({ ok: true });
  });

  it("lists the shipped labs as down and the person's own hosts as an empty fleet", async () => {
    const labs = await value<{ id: string; kind: string; phase: string; hosts: number; shipped: boolean }[]>("lab.list", {});
    expect(labs).toEqual(expect.arrayContaining([expect.objectContaining({ id: "lab-quickstart", kind: "local", phase: "down", shipped: true }), expect.objectContaining({ id: "lab-vm-quickstart", kind: "vm" }), expect.objectContaining({ id: "fleet-mine", kind: "fleet", hosts: 0 })]));
  });

  it("keeps preferences and own hosts over a restart, readable by their owner alone", async () => {
    await value("preferences.set", { change: { theme: "dark", tourSeen: true } });
    await value("host.add", { hosts: [{ target: "lab@one.example", name: null }, { target: "lab@[2001:db8::1]:2222", name: "Zwei" }] });
    for (const file of ["window.json", "hosts.json"]) expect(statSync(join(folder, "config/anycast-lab", file)).mode & 0o777).toBe(0o600);
    await app.close();
    app = start();
    expect(await value("app.hello", { protocol: 1 })).toMatchObject({ preferences: { theme: "dark", tourSeen: true, reducedMotion: false } });
    const { hosts } = await value<{ hosts: unknown[] }>("lab.state", { lab: "fleet-mine" });
    expect(hosts).toMatchObject([{ id: "one-example", name: "one.example", target: "lab@one.example", own: true, ssh: { state: "unknown" } }, { id: "zwei", name: "Zwei", target: "lab@[2001:db8::1]:2222" }]);
  });

  it("adds all of the pasted hosts or none", async () => {
    expect(await ask("host.add", { hosts: [{ target: "good.example", name: null }, { target: "bad host", name: null }] })).toMatchObject({ ok: false, error: { code: "bad-host", message: expect.stringContaining("bad host") } });
    expect(await value("lab.state", { lab: "fleet-mine" })).toMatchObject({ hosts: [] });
  });

  it("tells why a host was not reached, at the host and in the task", async () => {
    const closed = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port } = server.address() as { port: number };
        server.close(() => resolve(port));
      });
    });
    const { hosts } = await value<{ hosts: string[] }>("host.add", { hosts: [{ target: `lab@127.0.0.1:${closed}`, name: "closed" }] });
    const { task } = await value<{ task: string }>("host.connect", { lab: "fleet-mine", hosts });
    const ended = () => pushed.some(({ name, payload }) => name === "task.changed" && (payload as { id: string; state: string }).id === task && (payload as { state: string }).state === "failed");
    await expect.poll(ended, { timeout: 15_000 }).toBe(true);
    const [host] = (await value<{ hosts: { ssh: unknown }[] }>("lab.state", { lab: "fleet-mine" })).hosts;
    expect(host?.ssh).toEqual({ state: "failed", detail: expect.stringMatching(/refused|listens/) });
    const [listed] = await value<{ parts: unknown[] }[]>("task.list", {});
    expect(listed?.parts).toMatchObject([{ host: "closed", state: "failed", remedy: expect.stringMatching(/\S/) }]);
  });

  it("says of what it cannot do that it cannot", async () => {
    for (const [call, args] of [["link.set", { lab: "fleet-mine", link: "x", there: nothing["there"], back: nothing["back"] }], ["lab.down", { lab: "fleet-mine" }], ["host.remove", { lab: "lab-quickstart", hosts: ["n1"] }]] as const) {
      expect(await ask(call, args), call).toMatchObject({ ok: false, error: { code: "unsupported", remedy: expect.stringMatching(/\S/) } });
    }
  });

  it("checks scenarios with line and column, and keeps only sound ones", async () => {
    const problems = await value<{ line: number; path: string }[]>("scenario.check", { text: "name: x\nsteps:\n  - bogus: 1\n" });
    expect(problems).toContainEqual(expect.objectContaining({ line: 3, path: "steps[0].bogus" }));
    expect(await ask("scenario.save", { name: "mine", text: "name: x\n" })).toMatchObject({ ok: false, error: { code: "bad-file" } });
    const text = readFileSync(join(import.meta.dirname, "../assets/scenarios/quickstart.yaml"), "utf8");
    expect(await value("scenario.save", { name: "mine", text })).toMatchObject({ id: "own-mine", own: true, hosts: 6 });
    expect(await value("scenario.read", { scenario: "own-mine" })).toEqual({ text });
    expect(await value("scenario.list", {})).toMatchObject([{ id: "quickstart" }, { id: "paper" }, { id: "plain-client" }, { id: "own-mine" }]);
  });

  it.each(["../../etc/passwd", "own-../x", "own-", "/etc/passwd"])("reads no file outside its folders for the scenario %j", async (scenario) => {
    expect(await ask("scenario.read", { scenario })).toMatchObject({ ok: false, error: { code: "not-found" } });
  });

  it("shows a run that its manager did not survive as broken, and no other folder as a run", async () => {
    for (const name of ["20260101-100000-quickstart", "notes"]) mkdirSync(join(folder, "runs", name), { recursive: true });
    writeFileSync(join(folder, "runs/20260101-100000-quickstart/scenario.yaml"), "name: quickstart\n");
    expect(await value("run.list", {})).toMatchObject([{ id: "20260101-100000-quickstart", scenario: "quickstart", state: "broken", hasReport: false }]);
    expect(await ask("run.report", { run: "20260101-100000-quickstart" })).toMatchObject({ ok: false, error: { code: "unfinished" } });
    expect(await ask("run.report", { run: "../runs" })).toMatchObject({ ok: false, error: { code: "not-found" } });
  });
});
