import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { DeployPlan, Host } from "../../../src-shared/api/app/host.ts";
import type { TaskPart } from "../../../src-shared/api/app/work.ts";
import { asProblem, type Problem } from "../../problem.ts";
import { ChangedHostKeyError } from "../../ssh/errors.ts";
import { fingerprint } from "../../ssh/host-key.ts";
import { forgetHostKeys } from "../../ssh/replace-key.ts";
import { acceptHostKey, readTrust } from "../../ssh/verify.ts";
import { judgeHostKey } from "../../ssh/known-hosts.ts";
import { loadBundle } from "../hosts/bundle.ts";
import type { DeployProgress } from "../hosts/deploy.ts";
import { preflight } from "../hosts/preflight.ts";
import { AgentLogs } from "./agent-logs.ts";
import { fleetId, type OwnFleet, sshConfigHosts } from "./fleet.ts";
import { type HostLink, short } from "./host-link.ts";
import type { Labs } from "./labs.ts";
import type { Emit, LabStore } from "./store.ts";
import type { TaskHand, Tasks } from "./tasks.ts";

/** How many hosts are worked on at once. */
const atOnce = 8;

export interface HostsOptions {
  readonly labs: Labs;
  readonly store: LabStore;
  readonly tasks: Tasks;
  readonly fleet: OwnFleet;
  readonly emit: Emit;
  readonly sshConfig?: string;
}

/** Everything that is done to hosts: connecting, keys, preflight, deploy, logs. */
export class HostService {
  readonly #options: HostsOptions;
  readonly #logs: AgentLogs;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#logs = new AgentLogs(options.emit);
  }

  readonly handlers = {
    "host.add": async ({ hosts }) => ({ lab: fleetId, hosts: await this.#options.fleet.add(hosts) }),
    "host.remove": async ({ lab, hosts }) => {
      if (lab !== fleetId) throw new AppError("unsupported", "the hosts of a local lab belong to it", { remedy: "Stop the lab to be rid of them." });
      await this.#options.fleet.remove(hosts);
      return {};
    },
    "host.connect": ({ lab, hosts }) => this.#onEach(lab, hosts, "connect", "Connect to", (link, hand) => this.#connect(link, hand)),
    "host.acceptKey": ({ lab, host, fingerprint: shown }) => this.#acceptKey(lab, host, shown, false),
    "host.replaceKey": ({ lab, host, fingerprint: shown, name }) => {
      const known = this.#options.store.item(lab, "hosts", host);
      if (name !== known.name) throw new AppError("bad-arguments", `"${name}" is not the name of this host`, { remedy: `Type ${known.name} to replace its key.` });
      return this.#acceptKey(lab, host, shown, true);
    },
    "host.preflight": ({ lab, hosts }) => this.#onEach(lab, hosts, "preflight", "Preflight of", (link, hand) => this.#preflight(lab, link, hand)),
    "host.fix": ({ lab, host }) => {
      const { name } = this.#options.store.item(lab, "hosts", host);
      throw new AppError("unsupported", `nothing is changed on ${name} by itself`, { remedy: "Do there what the finding says, then check again.", host: name });
    },
    "host.sshConfig": () => sshConfigHosts(this.#options.sshConfig),
    "host.inspect": async ({ lab, host }) => {
      const { client, hello } = this.#options.labs.get(lab).agent(host);
      const [state, counters] = await Promise.all([client.call("inspect", {}), client.call("counters", {})]);
      return { json: JSON.stringify({ agent: hello, state, counters }, null, 2).slice(0, 1 << 20) };
    },
    "host.log": ({ lab, host, after }) => this.#logs.read(lab, this.#link(lab, host), this.#options.labs.get(lab).testbed.name, after),
    "deploy.plan": async ({ lab, hosts }) => Promise.all(hosts.map((id) => this.#plan(lab, id))),
    "deploy.start": ({ lab, hosts }) => this.#onEach(lab, hosts, "deploy", "Deploy to", (link, hand) => this.#deploy(link, hand)),
    "deploy.undo": ({ lab, hosts }) => this.#onEach(lab, hosts, "undeploy", "Undo the deploy on", async (link, hand) => {
      hand.part(link.name, { state: "running", phase: "stopping and removing", progress: 0.3 });
      await link.undeploy();
      hand.part(link.name, { state: "done", phase: "removed", progress: 1 });
    }),
  } satisfies Partial<AppHandlers>;

  close(): void {
    this.#logs.close();
  }

  #link(lab: string, host: string): HostLink {
    const { store, labs } = this.#options;
    const { ssh, name } = store.item(lab, "hosts", host);
    const link = labs.get(lab).hosts().find((each) => each.name === host);
    if (!link) throw new AppError("bad-host", `${name} cannot be reached: ${ssh.detail ?? "its ssh configuration does not work"}`, { remedy: "Correct ~/.ssh/config, remove the host and add it again.", host: name });
    return link;
  }

  /** A task with a part per host; one host's failure does not touch the others. */
  #onEach(lab: string, hosts: readonly string[], kind: "connect" | "preflight" | "deploy" | "undeploy", what: string, work: (link: HostLink, hand: TaskHand) => Promise<void>): { task: string } {
    const { store, tasks } = this.#options;
    const shown = hosts.map((id) => store.item(lab, "hosts", id));
    const title = `${what} ${shown.length === 1 ? shown[0]?.name : `${shown.length} hosts`}`;
    const one = async (id: string, hand: TaskHand): Promise<void> => {
      if (hand.signal.aborted) return hand.part(id, { state: "cancelled", phase: "cancelled" });
      try {
        await work(this.#link(lab, id), hand);
      } catch (error) {
        hand.failed(id, asProblem(error, id));
      }
    };
    const queue = [...hosts];
    const worker = async (hand: TaskHand): Promise<void> => {
      for (let id = queue.shift(); id !== undefined; id = queue.shift()) await one(id, hand);
    };
    return { task: tasks.start(kind, title, hosts, async (hand) => void (await Promise.all(Array.from({ length: atOnce }, () => worker(hand)))), { cancellable: true }) };
  }

  async #connect(link: HostLink, hand: TaskHand): Promise<void> {
    hand.part(link.name, { state: "running", phase: "connecting", progress: 0.2 });
    hand.say(`connecting to ${link.handle.ssh.user}@${link.handle.ssh.hostname}`, "info", link.name);
    await link.connect();
    hand.part(link.name, { phase: "looking for an agent", progress: 0.7 });
    const agent = await link.attach();
    hand.part(link.name, { state: "done", phase: agent ? "connected, agent up" : "connected", progress: 1 });
  }

  /** Judges again what was refused: only the key that a person was shown is taken. */
  async #acceptKey(lab: string, host: string, shown: string, replace: boolean): Promise<Record<string, never>> {
    const link = this.#link(lab, host);
    const name = this.#options.store.item(lab, "hosts", host).name;
    const problem = await this.#refusal(link);
    const refused = link.refusedKey;
    if (!refused) throw problem ?? new AppError("no-key-question", `${name} is connected already`, { host: name });
    if (fingerprint(refused.offered) !== shown) throw new AppError("host-key-moved", `${name} now offers another key than the one you were shown`, { remedy: "Compare the new fingerprint before you accept it.", host: name });
    if (problem instanceof ChangedHostKeyError !== replace) throw new AppError("host-key-moved", `what is known of the key of ${name} has changed meanwhile`, { remedy: "Look at it again.", host: name });
    const { trust } = link.handle.ssh;
    const [file] = trust.files;
    if (!file) throw new AppError("unsupported", "this host has no known_hosts file to write to", { remedy: "Set UserKnownHostsFile in ~/.ssh/config.", host: name });
    if (replace) {
      const verdict = judgeHostKey(await readTrust(trust), trust.names, refused.offered);
      if (verdict.is === "changed") await forgetHostKeys(verdict.entries);
    }
    await acceptHostKey(file, refused.name, refused.offered);
    this.#onEach(lab, [host], "connect", "Connect to", (each, hand) => this.#connect(each, hand));
    return {};
  }

  async #refusal(link: HostLink): Promise<Problem | null> {
    try {
      await link.connect();
      return null;
    } catch (error) {
      return asProblem(error, link.name);
    }
  }

  async #preflight(lab: string, link: HostLink, hand: TaskHand): Promise<void> {
    const { store } = this.#options;
    const set = (state: Host["preflight"]["state"], lines: Host["preflight"]["lines"] = []): void => store.change(lab, { hosts: [{ ...store.item(lab, "hosts", link.name), preflight: { state, at: state === "running" ? null : Date.now(), lines } }] });
    hand.part(link.name, { state: "running", phase: "connecting", progress: 0.2 });
    set("running");
    try {
      await link.connect();
      hand.part(link.name, { phase: "looking", progress: 0.5 });
      const { architectures } = await loadBundle();
      const lines = await preflight(link.access, { architectures, ...(link.handle.nodePath && { nodePath: link.handle.nodePath }) });
      set("done", lines);
      const wrong = lines.find((line) => line.ok === "no");
      const part: Partial<TaskPart> = wrong ? { state: "failed", detail: `${wrong.check}: ${wrong.detail}`, remedy: wrong.remedy } : { state: "done" };
      hand.part(link.name, { ...part, phase: "checked", progress: 1 });
      for (const line of lines) if (line.ok !== "yes") hand.say(`${line.check}: ${line.detail}`, line.ok === "no" ? "error" : "warn", link.name);
    } catch (error) {
      set("failed");
      throw error;
    }
  }

  async #deploy(link: HostLink, hand: TaskHand): Promise<void> {
    hand.part(link.name, { state: "running", phase: "connecting", progress: 0.05 });
    await link.deploy({ onProgress: (progress) => hand.part(link.name, partOf(progress)) });
    hand.part(link.name, { state: "done", phase: "up", progress: 1 });
    hand.say("the agent is up", "info", link.name);
  }

  async #plan(lab: string, id: string): Promise<DeployPlan> {
    const host = this.#options.store.item(lab, "hosts", id);
    if (host.ssh.state !== "connected") return { host: id, changes: [], blocked: host.ssh.detail ?? "not connected" };
    const { version, digest, architectures } = await loadBundle();
    const running = host.agent.is === "up";
    const wrong = host.preflight.lines.find((line) => line.ok === "no");
    if (wrong) return { host: id, changes: [], blocked: `${wrong.check}: ${wrong.detail}` };
    const { user } = this.#link(lab, id).handle.ssh;
    const [store, state] = user === "root" ? ["/var/lib/anycast-lab", "/run/anycast-lab"] : ["~/.local/share/anycast-lab", "~/.local/state/anycast-lab"];
    return {
      host: id,
      blocked: null,
      changes: [
        `upload agent ${version} (${digest.slice(0, 12)}; ${architectures.join(", ")}) to ${store}, unless that very one is there`,
        "upload our Node to the same place, if the host has none from 20.10 on",
        `${running ? "replace the running agent if it is another one; else leave it" : "start the agent"} as ${user === "root" ? "an unprivileged id of its own" : user} with CAP_NET_ADMIN and CAP_NET_RAW (and CAP_BPF, CAP_PERFMON, CAP_NET_BIND_SERVICE where they can be had)`,
        `keep its socket, pid and log in ${state}`,
        "when it joins a group: load tc programs on its interface, or make a TUN device",
      ],
    };
  }
}

function partOf(progress: DeployProgress): Partial<TaskPart> {
  switch (progress.phase) {
    case "uploading":
      return { phase: `uploading ${progress.what}`, progress: 0.15 + 0.6 * progress.fraction };
    case "failed":
      return { detail: short(progress.problem, progress.host), remedy: progress.problem.remedy };
    default:
      return { phase: progress.phase, progress: { connecting: 0.05, looking: 0.1, starting: 0.8, ready: 1, stopping: 0.3, removed: 1 }[progress.phase] };
  }
}
