import type { AgentHello } from "../../src-shared/api/control.ts";
import { Problem } from "../problem.ts";
import { quote } from "../ssh/quote.ts";
import type { AskSecret } from "../ssh/target.ts";
import type { Testbed } from "../testbeds/testbed.ts";
import { HostAccess } from "./hosts/access.ts";
import { loadBundle } from "./hosts/bundle.ts";
import { agentCapabilities, setprivWords } from "./hosts/capabilities.ts";
import { attach, deploy, type DeployedHost, type DeployOptions, type HostOutcome } from "./hosts/deploy.ts";
import { deployedCommand } from "./hosts/agent-process.ts";
import type { AgentHost } from "./lab-session.ts";
import type { RemoteProcess } from "./runner/session.ts";

export interface LabAgentsOptions {
  readonly dataPlane?: DeployOptions["dataPlane"];
  readonly metrics?: string;
  readonly onProgress?: DeployOptions["onProgress"];
  /** For hosts whose sudo asks for a password. */
  readonly ask?: AskSecret;
}

/** The agents of all hosts of a testbed, with one SSH connection each. */
export interface LabAgents {
  readonly hosts: readonly AgentHost[];
  /** Ends the connections; the agents go on. */
  close(): Promise<void>;
}

/** Deploys and starts agents on all hosts at once. Rejects with a Problem that lists every host that failed; the others keep running. */
export async function deployAgents(testbed: Testbed, options: LabAgentsOptions = {}): Promise<LabAgents> {
  const accesses = testbed.hosts().map((handle) => new HostAccess(handle, options.ask));
  const bundle = await loadBundle();
  const { dataPlane, metrics, onProgress } = options;
  return gather(accesses, await deploy(accesses, { deployment: testbed.name, bundle, ...(dataPlane && { dataPlane }), ...(metrics && { metrics }), ...(onProgress && { onProgress }) }));
}

/** Connects to agents that run already, of all hosts or `only` some. Rejects as `deployAgents` does, code `agent.notRunning` where there is none. */
export async function attachAgents(testbed: Testbed, options: Pick<LabAgentsOptions, "ask"> & { readonly only?: readonly string[] } = {}): Promise<LabAgents> {
  const handles = testbed.hosts().filter((handle) => options.only?.includes(handle.name) ?? true);
  const accesses = handles.map((handle) => new HostAccess(handle, options.ask));
  return gather(accesses, await attach(accesses, testbed.name));
}

async function gather(accesses: readonly HostAccess[], outcomes: readonly HostOutcome<Pick<DeployedHost, "access" | "facts" | "places" | "control">>[]): Promise<LabAgents> {
  const close = async (): Promise<void> => {
    for (const outcome of outcomes) if (outcome.ok) outcome.value.control.client.close();
    await Promise.all(accesses.map((access) => access.close()));
  };
  const failed = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.problem]));
  if (failed.length > 0) {
    await close();
    throw failed.length === 1 ? (failed[0] as Problem) : several(failed, outcomes.length);
  }
  return { hosts: await Promise.all(outcomes.map((outcome) => agentHost((outcome as Extract<typeof outcome, { ok: true }>).value))), close };
}

function several(problems: readonly Problem[], of: number): Problem {
  return new Problem({
    code: "hosts.failed",
    what: `${problems.length} of ${of} hosts failed`,
    remedy: "See each host's own remedy below; the other hosts are unharmed.",
    evidence: problems.map((p) => `${p.message}\n→ ${p.remedy}${p.evidence ? `\n${p.evidence}` : ""}`).join("\n"),
    details: { hosts: problems.map((p) => p.toJSON()) },
  });
}

/** A host with a running agent, as sessions use it. Throws Problem `agent.notDeployed`. */
export async function agentHost(deployed: Pick<DeployedHost, "access" | "facts" | "places" | "control">): Promise<AgentHost> {
  const { access, facts, places, control } = deployed;
  const words = await deployedCommand(access, places);
  if (!words) throw new Problem({ code: "agent.notDeployed", host: access.name, what: "no agent is deployed there", remedy: "Deploy it (lab up)." });
  return {
    handle: access.handle,
    ssh: await access.connection(),
    client: control.client,
    hello: control.hello satisfies AgentHello,
    command: words.map(quote).join(" "),
    directory: places.run,
    privileged: async (command) => remote(await access.startAsRoot(`exec ${setprivWords(facts, await agentCapabilities(access, facts)).join(" ")} ${command}`)),
    kill: async () => {
      await access.runAsRoot('kill -KILL "$(cat "$1/agent.pid")"', [places.run]);
    },
  };
}

function remote(process: Awaited<ReturnType<HostAccess["startAsRoot"]>>): RemoteProcess {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    endInput: () => process.stdin.end(),
    kill: () => {
      process.signal("TERM");
      process.close();
    },
    exited: process.exit.then(({ code }) => code ?? null).catch(() => null),
  };
}
