import { asProblem, Problem } from "../../problem.ts";
import type { HostAccess } from "./access.ts";
import { type AgentOptions, agentPid, removeRun, startAgent, stopAgent } from "./agent-process.ts";
import type { Bundle } from "./bundle.ts";
import { type ControlChannel, openControl } from "./control-channel.ts";
import { type HostFacts, lookAt } from "./facts.ts";
import { install, type Installed, uninstall } from "./install.ts";
import { type RemotePlaces, remotePlaces } from "./places.ts";

/** Where a host is in its deployment. `fraction` of the upload is 0..1. */
export type DeployProgress =
  | { readonly host: string; readonly phase: "connecting" | "looking" | "starting" | "ready" | "stopping" | "removed" }
  | { readonly host: string; readonly phase: "uploading"; readonly what: "agent" | "Node"; readonly fraction: number }
  | { readonly host: string; readonly phase: "failed"; readonly problem: Problem };

export interface DeployOptions {
  /** Names this deployment on its hosts, so that several do not meet: the lab's or fleet's name. */
  readonly deployment: string;
  readonly bundle: Bundle;
  /** For all hosts; unset or `auto`, each host's own choice counts. */
  readonly dataPlane?: NonNullable<AgentOptions["dataPlane"]>;
  /** For all hosts; an agent that runs already keeps what it was started with. */
  readonly metrics?: string;
  readonly onProgress?: (progress: DeployProgress) => void;
}

/** A host with a running agent and its control channel. */
export interface DeployedHost {
  readonly access: HostAccess;
  readonly facts: HostFacts;
  readonly places: RemotePlaces;
  readonly installed: Installed;
  readonly interface: string;
  readonly address: string;
  readonly control: ControlChannel;
}

/** What came of each host, in the order given. One host's failure does not touch the others. */
export type HostOutcome<T> = { readonly host: string; readonly ok: true; readonly value: T } | { readonly host: string; readonly ok: false; readonly problem: Problem };

/** Hosts that are worked on at a time: enough to hide their round trips, few enough that none of them waits for us. */
const atOnce = 32;

/** Does something to all hosts at once and gathers what came of it. Never rejects. */
export async function onAll<T>(hosts: readonly HostAccess[], work: (access: HostAccess) => Promise<T>): Promise<HostOutcome<T>[]> {
  const outcomes: HostOutcome<T>[] = [];
  const waiting = hosts.entries();
  const worker = async (): Promise<void> => {
    for (const [index, access] of waiting) {
      try {
        outcomes[index] = { host: access.name, ok: true, value: await work(access) };
      } catch (error) {
        outcomes[index] = { host: access.name, ok: false, problem: asProblem(error, access.name) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, hosts.length) }, worker));
  return outcomes;
}

/** Deploys and starts the agent on all hosts at once. Never rejects: each host's outcome stands by itself. */
export function deploy(hosts: readonly HostAccess[], options: DeployOptions): Promise<HostOutcome<DeployedHost>[]> {
  return onAll(hosts, async (access) => {
    try {
      return await deployTo(access, options);
    } catch (error) {
      const problem = asProblem(error, access.name);
      options.onProgress?.({ host: access.name, phase: "failed", problem });
      throw problem;
    }
  });
}

async function deployTo(access: HostAccess, { deployment, bundle, dataPlane, metrics, onProgress }: DeployOptions): Promise<DeployedHost> {
  const host = access.name;
  onProgress?.({ host, phase: "connecting" });
  await access.connection();
  onProgress?.({ host, phase: "looking" });
  const facts = await lookAt(access, access.handle.nodePath);
  const places = remotePlaces(host, facts, deployment);
  const { interface: device, address } = dataInterface(access, facts);
  let installed: Installed;
  try {
    installed = await install(access, facts, places, bundle, (what, sent, total) => onProgress?.({ host, phase: "uploading", what, fraction: sent / total }));
    onProgress?.({ host, phase: "starting" });
    const plane = (dataPlane === "auto" ? undefined : dataPlane) ?? access.handle.dataPlane;
    await startAgent(access, facts, places, installed, { deployment, interface: device, address, ...(plane && { dataPlane: plane }), ...(metrics && { metrics }) });
  } catch (error) {
    // Nothing half-deployed: what this attempt put there goes again, unless an agent uses it.
    if ((await agentPid(access, places).catch(() => 0)) === undefined) await removeRun(access, facts, places).catch(() => {});
    await uninstall(access, places).catch(() => {});
    throw error;
  }
  const control = await openControl(access, places);
  onProgress?.({ host, phase: "ready" });
  return { access, facts, places, installed, interface: device, address, control };
}

/** Opens the control channel of agents that run already. A host without one is an outcome with code `agent.notRunning`. */
export function attach(hosts: readonly HostAccess[], deployment: string): Promise<HostOutcome<Pick<DeployedHost, "access" | "facts" | "places" | "control">>[]> {
  return onAll(hosts, async (access) => {
    const facts = await lookAt(access, access.handle.nodePath);
    const places = remotePlaces(access.name, facts, deployment);
    if ((await agentPid(access, places)) === undefined) throw notRunning(access.name);
    return { access, facts, places, control: await openControl(access, places) };
  });
}

/** Stops the agents and takes away what deployments put on the hosts. */
export function undeploy(hosts: readonly HostAccess[], options: Pick<DeployOptions, "deployment" | "onProgress">): Promise<HostOutcome<"clean" | "forced" | "none">[]> {
  return onAll(hosts, async (access) => {
    const facts = await lookAt(access, access.handle.nodePath);
    const places = remotePlaces(access.name, facts, options.deployment);
    options.onProgress?.({ host: access.name, phase: "stopping" });
    const ended = await stopAgent(access, facts, places);
    await removeRun(access, facts, places);
    await uninstall(access, places);
    options.onProgress?.({ host: access.name, phase: "removed" });
    return ended;
  });
}

function notRunning(host: string): Problem {
  return new Problem({ code: "agent.notRunning", host, what: "no agent runs there", remedy: "Start it: lab up." });
}

/** The interface and address that the agent works on: as the host's description says, or the only global address it has. Throws Problem `deploy.address`. */
export function dataInterface(access: HostAccess, facts: HostFacts): { readonly interface: string; readonly address: string } {
  const { address, interface: device } = access.handle;
  const candidates = facts.addresses.filter((a) => (address === undefined || a.address === address) && (device === undefined || a.interface === device));
  const [only, ...more] = candidates;
  if (only && more.length === 0) return only;
  const found = facts.addresses.map((a) => `${a.address} on ${a.interface}`).join(", ") || "none";
  const what = only ? `several global IPv6 addresses fit (${found})` : `no interface has the IPv6 address ${address ?? "needed"}${device ? ` on ${device}` : ""} (there are: ${found})`;
  throw new Problem({ code: "deploy.address", host: access.name, what, remedy: "Name the host's address (and interface) in the fleet file." });
}
