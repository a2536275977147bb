import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Host, PreflightLine, SshConfigHost } from "../../../src-shared/api/app/host.ts";
import type { LabState } from "../../../src-shared/api/app/lab.ts";
import { hostileText } from "./hostile.ts";
import type { MemoryOptions } from "./options.ts";
import { Dice } from "./random.ts";
import type { LabStore } from "./store.ts";
import type { TaskHand, Tasks } from "./tasks.ts";
import { fingerprintOf, fleetLab, goodPreflight, upHost } from "./world.ts";

type Names = "host.add" | "host.remove" | "host.connect" | "host.acceptKey" | "host.replaceKey" | "host.preflight" | "host.fix" | "host.sshConfig" | "host.inspect" | "host.log" | "deploy.plan" | "deploy.start" | "deploy.undo";

/** The fleet of a person's own hosts, before any is added. */
export function emptyFleet(): LabState {
  return { id: fleetLab, name: "My hosts", kind: "fleet", phase: "up", detail: null, shipped: false, revision: 1, sites: [{ id: "own", name: "My hosts" }], hosts: [], links: [], groups: [], clients: [], faults: [], captures: [] };
}

/** What becomes of a host follows from its name, so that a test can ask for it: "…unreachable", "…changed", "…nosudo" and "…full" go wrong. */
function fate(host: Host): "unreachable" | "changed" | "nosudo" | "full" | "fine" {
  return (["unreachable", "changed", "nosudo", "full"] as const).find((word) => host.name.includes(word)) ?? "fine";
}

export function ownHost(target: string, name: string, index: number): Host {
  return {
    ...upHost(name, "own", index, new Dice(index)),
    id: `own-${name}-${index}`,
    name,
    target,
    address: null,
    ssh: { state: "unknown", detail: null },
    key: { is: "none" },
    preflight: { state: "none", at: null, lines: [] },
    agent: { is: "none", version: null, dataPlane: null, detail: null },
    clock: null,
    load: null,
    own: true,
  };
}

export function fleetHandlers(store: LabStore, tasks: Tasks, options: MemoryOptions): Pick<AppHandlers, Names> {
  let next = 1;
  const trusted = new Set<string>();
  const find = (lab: string, id: string) => store.item(lab, "hosts", id);
  const set = (lab: string, id: string, change: Partial<Host>) => store.change(lab, { hosts: [{ ...find(lab, id), ...change }] });
  const name = (lab: string, ids: readonly string[]) => (ids.length === 1 ? find(lab, ids[0] as string).name : `${ids.length} hosts`);

  const connect = async (lab: string, id: string, hand: TaskHand): Promise<boolean> => {
    const host = find(lab, id);
    hand.part(id, { state: "running", phase: "connecting", progress: 0.2 });
    hand.say(`connecting to ${host.target}`, "info", host.name);
    set(lab, id, { ssh: { state: "connecting", detail: null } });
    await hand.pause(400);
    const problem = connectProblem(find(lab, id), trusted);
    if (problem) {
      set(lab, id, problem.change);
      hand.part(id, { state: "failed", phase: "connecting", detail: problem.detail, remedy: problem.remedy });
      hand.say(problem.detail, "error", host.name);
      return false;
    }
    set(lab, id, { ssh: { state: "connected", detail: null }, key: { is: "known", offered: fingerprintOf(host.name) }, clock: { offsetMs: 3.2, errorMs: 0.4 }, address: host.address ?? `2001:db8:f::${(id.length * 7).toString(16)}`, load: 0.1 });
    hand.part(id, { phase: "connected", progress: 1, state: "done" });
    return true;
  };

  const onEach = (ids: readonly string[], kind: "connect" | "preflight" | "deploy" | "undeploy" | "fix", title: string, work: (id: string, hand: TaskHand) => Promise<void>) => ({
    task: tasks.start(kind, title, ids, async (hand) => void (await Promise.all(ids.map((id) => work(id, hand))))),
  });

  return {
    "host.add": ({ hosts }) => {
      const fresh = hosts.map(({ target, name }) => ownHost(target, name ?? target.replace(/^.*@/, "").replace(/^\[|\].*$|:\d+$/g, ""), next++));
      store.change(fleetLab, { hosts: fresh });
      return { lab: fleetLab, hosts: fresh.map((host) => host.id) };
    },
    "host.remove": ({ lab, hosts }) => {
      const kept = hosts.map((id) => find(lab, id)).find((host) => !host.own || host.agent.is === "up");
      if (kept) throw new AppError("host-in-use", `${kept.name} still runs our agent`, { remedy: "Undo its deploy first.", host: kept.name });
      store.change(lab, { gone: hosts });
      return {};
    },
    "host.connect": ({ lab, hosts }) => onEach(hosts, "connect", `Connect to ${name(lab, hosts)}`, async (id, hand) => void (await connect(lab, id, hand))),
    "host.acceptKey": ({ lab, host, fingerprint }) => acceptKey(find(lab, host), fingerprint, () => {
      trusted.add(host);
      set(lab, host, { key: { is: "known", offered: fingerprintOf(find(lab, host).name) }, ssh: { state: "unknown", detail: null } });
      tasks.start("connect", `Connect to ${find(lab, host).name}`, [host], async (hand) => void (await connect(lab, host, hand)));
    }),
    "host.replaceKey": ({ lab, host, fingerprint, name }) => {
      if (name !== find(lab, host).name) throw new AppError("bad-arguments", `"${name}" is not the name of this host`, { remedy: `Type ${find(lab, host).name} to replace its key.` });
      return acceptKey(find(lab, host), fingerprint, () => {
        trusted.add(host);
        tasks.start("connect", `Connect to ${name}`, [host], async (hand) => void (await connect(lab, host, hand)));
      });
    },
    "host.preflight": ({ lab, hosts }) => onEach(hosts, "preflight", `Preflight of ${name(lab, hosts)}`, async (id, hand) => {
      if (find(lab, id).ssh.state !== "connected" && !(await connect(lab, id, hand))) return;
      const lines = preflightOf(find(lab, id), options.hostile);
      for (let shown = 1; shown <= lines.length; shown++) {
        await hand.pause(120);
        set(lab, id, { preflight: { state: shown === lines.length ? "done" : "running", at: Date.now(), lines: lines.slice(0, shown) } });
        hand.part(id, { state: "running", phase: lines[shown - 1]?.check ?? "", progress: shown / lines.length });
      }
      hand.part(id, { state: lines.some((line) => line.ok === "no") ? "failed" : "done", phase: "checked", detail: lines.find((line) => line.ok === "no")?.detail ?? null });
    }),
    "host.fix": ({ lab, host, check }) => onEach([host], "fix", `Fix ${check} on ${find(lab, host).name}`, async (id, hand) => {
      await hand.pause(600);
      const lines = find(lab, id).preflight.lines.map((line): PreflightLine => (line.check === check ? { ...line, ok: "yes", detail: "fixed", remedy: null, fix: null } : line));
      set(lab, id, { preflight: { state: "done", at: Date.now(), lines } });
      hand.part(id, { state: "done", phase: "fixed", progress: 1 });
    }),
    "host.sshConfig": () => ({ file: "~/.ssh/config", hosts: options.scene === "empty" ? [] : sshConfig(options.hostile), problem: null }),
    "host.inspect": ({ lab, host }) => ({ json: JSON.stringify({ host: find(lab, host).name, roles: find(lab, host).roles, bindings: [], counters: { sent: 12, received: 12 } }, null, 2) }),
    "host.log": ({ lab, host, after }) => hostLog(find(lab, host), options).filter((line) => line.number > after),
    "deploy.plan": ({ lab, hosts }) => hosts.map((id) => ({ host: id, ...planFor(find(lab, id)) })),
    "deploy.start": ({ lab, hosts }) => onEach(hosts, "deploy", `Deploy to ${name(lab, hosts)}`, async (id, hand) => {
      const host = find(lab, id);
      if (host.ssh.state !== "connected" && !(await connect(lab, id, hand))) return;
      set(lab, id, { agent: { ...host.agent, is: "deploying" } });
      for (const [phase, steps] of [["uploading", 8], ["checking", 2], ["starting", 3]] as const) {
        hand.say(`${phase} agent 0.1.0`, "info", host.name);
        for (let step = 0; step < steps; step++) {
          await hand.pause(90 + 60 * (id.length % 3));
          hand.part(id, { state: "running", phase, progress: (phase === "uploading" ? 0 : phase === "checking" ? 0.7 : 0.85) + (step / steps) * 0.15 * (phase === "uploading" ? 4.6 : 1) });
        }
        if (phase === "uploading" && fate(host) === "full") {
          set(lab, id, { agent: { ...host.agent, is: "failed", detail: "no space left on /var/tmp" } });
          hand.say("write failed: no space left on device", "error", host.name);
          return hand.part(id, { state: "failed", detail: "no space left on /var/tmp: 3 MB free, 31 MB needed. Nothing was left behind.", remedy: "Free some space, or choose another folder for this host in Settings." });
        }
      }
      set(lab, id, { agent: { is: "up", version: "0.1.0", dataPlane: { kind: "ebpf", reason: "kernel has no IPV6_MIP6, tc programs load" }, detail: null }, roles: ["member"] });
      hand.part(id, { state: "done", phase: "up", progress: 1 });
    }),
    "deploy.undo": ({ lab, hosts }) => onEach(hosts, "undeploy", `Undo the deploy on ${name(lab, hosts)}`, async (id, hand) => {
      hand.part(id, { state: "running", phase: "removing", progress: 0.5 });
      await hand.pause(500);
      set(lab, id, { agent: { is: "none", version: null, dataPlane: null, detail: null }, roles: [] });
      hand.part(id, { state: "done", phase: "removed", progress: 1 });
    }),
  };
}

function acceptKey(host: Host, fingerprint: string, then: () => void): Record<string, never> {
  const offered = host.key.is === "none" ? null : host.key.offered;
  if (offered?.fingerprint !== fingerprint) throw new AppError("host-key-moved", `${host.name} now offers another key than the one you were shown`, { remedy: "Compare the new fingerprint before you accept it.", host: host.name });
  then();
  return {};
}

function connectProblem(host: Host, trusted: ReadonlySet<string>): { change: Partial<Host>; detail: string; remedy: string } | null {
  const offered = fingerprintOf(host.name);
  if (fate(host) === "unreachable") return { change: { ssh: { state: "failed", detail: "no answer from port 22 within 10 s" } }, detail: "no answer from port 22 within 10 s", remedy: "Check that the host is up and that no firewall drops the connection." };
  if (trusted.has(host.id) || host.key.is === "known") return null;
  const is = fate(host) === "changed" ? "changed" : "unknown";
  const known = is === "changed" ? [{ ...fingerprintOf(`${host.name}-old`), where: "~/.ssh/known_hosts:14" }] : [];
  const detail = is === "changed" ? "its host key has changed" : "its host key is not known yet";
  return { change: { ssh: { state: "failed", detail }, key: { is, offered, known } }, detail, remedy: "Compare the fingerprint with the one on the host." };
}

function preflightOf(host: Host, hostile: boolean): PreflightLine[] {
  const lines = goodPreflight();
  if (hostile) lines.push({ check: hostileText(1), ok: "warning", detail: hostileText(2), remedy: hostileText(7), fix: null });
  if (fate(host) === "nosudo") lines[2] = { check: "Capabilities", ok: "no", detail: "sudo asks for a password and none was given; not root", remedy: "Let this user run sudo, or give CAP_NET_ADMIN and CAP_NET_RAW to the agent: see docs/deploy.md", fix: null };
  if (fate(host) === "full") lines[6] = { check: "Disk", ok: "warning", detail: "3 MB free in /var/tmp, 31 MB needed", remedy: "Free some space: sudo apt-get clean", fix: null };
  lines[5] = host.name.length % 2 ? (lines[5] as PreflightLine) : { check: "Clock", ok: "warning", detail: "offset 812 ms, not synchronised", remedy: "Start a time service: sudo timedatectl set-ntp true", fix: "Turn on time synchronisation" };
  return lines;
}

function planFor(host: Host): { changes: string[]; blocked: string | null } {
  if (host.ssh.state === "failed") return { changes: [], blocked: host.ssh.detail ?? "not connected" };
  if (host.agent.is === "up") return { changes: ["nothing: agent 0.1.0 is up and its checksum is right"], blocked: null };
  return { changes: ["upload agent 0.1.0 (1.1 MB) to ~/.cache/anycast-lab/agent-0.1.0", "start it as user lab with CAP_NET_ADMIN and CAP_NET_RAW", "load two tc programs on eth0 when a group is joined"], blocked: null };
}

function sshConfig(hostile: boolean): SshConfigHost[] {
  const hosts: SshConfigHost[] = [
    { alias: "lab-ams", target: "lab@ams.example.net", via: null, unsupported: null },
    { alias: "lab-nyc", target: "lab@nyc.example.net:2222", via: "bastion.example.net", unsupported: null },
    { alias: "lab-tyo", target: "root@[2001:db8:3::10]", via: null, unsupported: "its certificate needs the system's ssh" },
  ];
  return hostile ? [...hosts, { alias: hostileText(0), target: hostileText(1), via: hostileText(6), unsupported: hostileText(2) }] : hosts;
}

function hostLog(host: Host, options: MemoryOptions) {
  return Array.from({ length: 40 }, (_, i) => ({
    number: i + 1,
    at: Date.now() - (40 - i) * 900,
    level: i % 17 === 9 ? ("warn" as const) : ("info" as const),
    source: host.name,
    text: options.hostile ? hostileText(i) : ["agent 0.1.0 started, data plane ebpf", "member link to nyc up, 41.2 ms", "binding accepted: 2001:db8:a::1 at 2001:db8:2::10, 420 s", "home test not awaited, dropped"][i % 4] as string,
  }));
}
