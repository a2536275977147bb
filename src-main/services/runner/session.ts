import type { Readable } from "node:stream";
import type { AgentArgs, AgentCallName, AgentValue } from "../../../src-shared/api/control.ts";
import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { ScenarioGroup, ServedFile } from "../../../src-shared/api/scenario.ts";
import type { Address } from "../../../src-shared/net/address.ts";
import type { LinkSetting } from "../../testbeds/testbed.ts";

/** A host with a running agent. */
export interface SessionHost {
  readonly name: string;
  readonly site: string | null;
  readonly address: Address;
  readonly interface: string;
  readonly kernel: string | null;
  readonly agent: string | null;
  readonly dataPlane: { readonly kind: string; readonly reason: string } | null;
  /** In a virtual machine of the lab. */
  readonly virtualMachine?: boolean;
}

/** A program on a host, over SSH. */
export interface RemoteProcess {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Closes its standard input: how our programs are told to end. */
  endInput(): void;
  kill(): void;
  /** The exit code; null when it was killed or the connection broke. Never rejects. */
  readonly exited: Promise<number | null>;
}

/** A host's clocks at one moment of the manager's CLOCK_MONOTONIC (`process.hrtime`), all in ms, ± `errorMs`. */
export interface ClockReading {
  readonly managerMono: number;
  readonly hostMono: number;
  readonly hostWall: number;
  readonly errorMs: number;
}

/**
 * A lab that is up, with an agent on each of its hosts: what a scenario runs on. Methods that reach a host reject with a Problem that names
 * it. The runner knows no SSH, no testbed and no process of this machine.
 */
export interface LabSession {
  readonly name: string;
  readonly kind: string;
  readonly hosts: readonly SessionHost[];
  /** Versions of manager, agent, Node, kernel modules… for `run.json`. */
  readonly versions: Readonly<Record<string, string>>;
  /** Shell words that start our program on that host; subcommand and arguments follow. */
  agentCommand(host: string): string;
  /** `privileged`: with the rights that the agent has (CAP_NET_RAW for captures). */
  spawn(host: string, command: string, options?: { readonly privileged?: boolean }): Promise<RemoteProcess>;
  call<N extends AgentCallName>(host: string, name: N, args: AgentArgs<N>): Promise<AgentValue<N>>;
  /** Every event of every agent from now on. Returns the end of it. */
  onEvent(listener: (host: string, event: AgentEvent) => void): () => void;
  readClock(host: string): Promise<ClockReading>;
  /** One-way latency in force, ms: configured on a lab of ours, measured elsewhere. */
  latencyMs(from: string, to: string): number;
  linkSet(settings: readonly LinkSetting[]): Promise<void>;
  stopNode(host: string): Promise<void>;
  killAgent(host: string): Promise<void>;
  /** An unmodified HTTP server on that host that offers these files; resolves with its origin (`http://[::1]:8000`). Ends with the session. */
  serveFiles(host: string, files: readonly ServedFile[]): Promise<{ readonly origin: string; readonly sha256: Readonly<Record<string, string>> }>;
  /** Home agent, members and correspondents take up their roles. Resolves when X is registered and the members are linked. `origins` by service and member. */
  formGroup(group: ScenarioGroup, clients: readonly string[], origins: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<{ readonly memberPort: number }>;
  /** Everybody gives up the group; hosts are as before `formGroup`. */
  dissolveGroup(group: string): Promise<void>;
}

/** The manager's CLOCK_MONOTONIC, ms. */
export function managerMono(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
