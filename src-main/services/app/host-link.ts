import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { Host } from "../../../src-shared/api/app/host.ts";
import { asProblem, Problem } from "../../problem.ts";
import type { SshConnection } from "../../ssh/connection.ts";
import { ChangedHostKeyError, UnknownHostKeyError } from "../../ssh/errors.ts";
import { describeHostKey, type HostKey } from "../../ssh/host-key.ts";
import type { AskSecret } from "../../ssh/target.ts";
import { readTrust } from "../../ssh/verify.ts";
import type { HostHandle } from "../../testbeds/testbed.ts";
import { ClockTracker } from "../clock.ts";
import { HostAccess } from "../hosts/access.ts";
import { loadBundle } from "../hosts/bundle.ts";
import { attach, deploy, type DeployOptions, undeploy } from "../hosts/deploy.ts";
import { agentHost } from "../lab-agents.ts";
import type { AgentHost } from "../lab-session.ts";

/** What of a host a window is shown is changed by this link. */
export type HostChange = Partial<Pick<Host, "ssh" | "key" | "agent" | "clock" | "address">>;

export interface HostLinkEvents {
  readonly onChange: (host: string, change: HostChange) => void;
  readonly onEvent: (host: string, event: AgentEvent) => void;
  readonly ask?: AskSecret;
}

const noAgent: Host["agent"] = { is: "none", version: null, dataPlane: null, detail: null };

/** One host as the window's manager holds it: an SSH connection, the agent's control channel and its clock. Everything it learns is told. */
export class HostLink {
  readonly handle: HostHandle;
  readonly access: HostAccess;
  readonly #deployment: string;
  readonly #events: HostLinkEvents;
  #agent: AgentHost | null = null;
  #clock: ClockTracker | null = null;
  #watched: SshConnection | null = null;
  #closed = false;
  /** The key that was offered and refused, for a person to judge. */
  refusedKey: { readonly offered: HostKey; readonly name: string } | null = null;

  constructor(handle: HostHandle, deployment: string, events: HostLinkEvents) {
    this.handle = handle;
    this.#deployment = deployment;
    this.#events = events;
    this.access = new HostAccess(handle, events.ask);
  }

  get name(): string {
    return this.handle.name;
  }

  get agent(): AgentHost | null {
    return this.#agent;
  }

  get clock(): ClockTracker | null {
    return this.#clock;
  }

  /** The SSH connection, opened when there is none. Rejects with a Problem; the host then shows why. */
  async connect(): Promise<SshConnection> {
    if (!this.#watched) this.#tell({ ssh: { state: "connecting", detail: null } });
    try {
      const connection = await this.access.connection();
      if (this.#watched === connection) return connection;
      this.#watched = connection;
      this.refusedKey = null;
      this.#tell({ ssh: { state: "connected", detail: null }, key: await this.#knownKey() });
      void connection.closed.then((why) => {
        if (this.#watched !== connection) return;
        this.#watched = null;
        this.#tell({ ssh: why ? { state: "failed", detail: short(why, this.name) } : { state: "unknown", detail: null } });
      });
      return connection;
    } catch (error) {
      const problem = asProblem(error, this.name);
      this.#tell({ ssh: { state: "failed", detail: short(problem, this.name) }, ...this.#keyOf(problem) });
      throw problem;
    }
  }

  /** Connects to the agent where one runs. Answers whether it does. */
  async attach(): Promise<boolean> {
    await this.connect();
    const [outcome] = await attach([this.access], this.#deployment);
    if (outcome?.ok) {
      await this.#hold(await agentHost(outcome.value));
      return true;
    }
    const problem = outcome?.problem as Problem;
    if (problem.code !== "agent.notRunning") this.#tell({ agent: { ...noAgent, is: "failed", detail: short(problem, this.name) } });
    else this.#tell({ agent: noAgent });
    return false;
  }

  /** Puts the agent there and starts it. Rejects with the Problem that kept it from that. */
  async deploy(options: Pick<DeployOptions, "onProgress" | "dataPlane"> = {}): Promise<void> {
    this.#tell({ agent: { ...noAgent, is: "deploying" } });
    try {
      await this.connect();
      const [outcome] = await deploy([this.access], { ...options, deployment: this.#deployment, bundle: await loadBundle() });
      if (!outcome?.ok) throw outcome?.problem;
      await this.#hold(await agentHost(outcome.value));
    } catch (error) {
      const problem = asProblem(error, this.name);
      this.#tell({ agent: { ...noAgent, is: "failed", detail: short(problem, this.name) } });
      throw problem;
    }
  }

  /** Stops the agent and removes what deploying put there. */
  async undeploy(): Promise<void> {
    this.#letGo();
    const [outcome] = await undeploy([this.access], { deployment: this.#deployment });
    if (!outcome?.ok) throw outcome?.problem;
    this.#tell({ agent: noAgent, clock: null });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#letGo();
    await this.access.close();
  }

  async #hold(agent: AgentHost): Promise<void> {
    this.#letGo();
    this.#agent = agent;
    const { client, hello } = agent;
    client.onEvent((event) => this.#events.onEvent(this.name, event));
    void client.closed.then((why) => {
      if (this.#agent !== agent) return;
      this.#letGo();
      this.#tell({ agent: { is: "stopped", version: hello.version, dataPlane: null, detail: why ? short(why, this.name) : null }, clock: null });
    });
    const clock = await ClockTracker.start(client);
    this.#clock = clock;
    const shownClock = () => ({ clock: { offsetMs: -clock.current.wallOffsetMs, errorMs: clock.current.errorMs } });
    clock.onEstimate(() => this.#tell(shownClock()));
    this.#tell({ agent: { is: "up", version: hello.version, dataPlane: hello.dataPlane, detail: null }, address: hello.address, ...shownClock() });
  }

  #letGo(): void {
    const agent = this.#agent;
    this.#agent = null;
    this.#clock?.stop();
    this.#clock = null;
    agent?.client.close();
  }

  #tell(change: HostChange): void {
    if (!this.#closed) this.#events.onChange(this.name, change);
  }

  async #knownKey(): Promise<Host["key"]> {
    const { trust } = this.handle.ssh;
    const entries = await readTrust(trust).catch(() => []);
    const own = entries.find((entry) => entry.marker === "none" && entry.hosts.split(",").includes(trust.names.name));
    return own ? { is: "known", offered: shownKey(own.key, `${own.file}:${own.line}`) } : { is: "none" };
  }

  #keyOf(problem: Problem): Pick<HostChange, "key"> {
    this.refusedKey = null;
    if (problem instanceof UnknownHostKeyError) {
      this.refusedKey = { offered: problem.key, name: problem.knownHostName };
      return { key: { is: "unknown", offered: shownKey(problem.key), known: [] } };
    }
    if (problem instanceof ChangedHostKeyError) {
      this.refusedKey = { offered: problem.offered, name: this.handle.ssh.trust.names.name };
      return { key: { is: "changed", offered: shownKey(problem.offered), known: problem.known.map((known) => shownKey(known.key, `${known.file}:${known.line}`)) } };
    }
    return {};
  }
}

function shownKey(key: HostKey, where: string | null = null): { type: string; fingerprint: string; where: string | null } {
  const [type = "", fingerprint = ""] = describeHostKey(key).split(" ");
  return { type, fingerprint, where };
}

/** A Problem's words without the host's name, which stands beside them. */
export function short(problem: Problem, host: string): string {
  return problem.message.startsWith(`${host}: `) ? problem.message.slice(host.length + 2) : problem.message;
}
