import { formatDuration, formatRate, formatShare } from "../../../../src-shared/api/units.ts";
import { asProblem, exitCodes } from "../../../problem.ts";
import { measureClock } from "../../../services/clock.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { attach } from "../../../services/hosts/deploy.ts";
import { listLabs } from "../../../testbeds/local/labs.ts";
import type { LinkStatus, Testbed } from "../../../testbeds/testbed.ts";
import { askSecret } from "../ask.ts";
import { print, printJson, table } from "../output.ts";
import { openTestbed, type WhichOptions } from "./which.ts";

export interface StatusOptions extends WhichOptions {
  readonly links?: boolean;
}

/** `lab status`: hosts, agents, clocks and links of one lab or fleet; without a choice, every lab there is. */
export async function statusCommand(options: StatusOptions): Promise<number> {
  if (!options.lab && !options.fleet) {
    const labs = await listLabs();
    if (labs.length !== 1) {
      if (options.json) printJson({ labs: labs.map((lab) => ({ ...lab, since: lab.since ? new Date(lab.since).toISOString() : null })) });
      else print(labs.length === 0 ? "no lab is up; bring one up with: npm start -- lab up" : table([["lab", "state", "hosts", "since"], ...labs.map((lab) => [lab.name, lab.state, String(lab.hosts), lab.since ? clockTime(lab.since) : ""])]));
      return exitCodes.ok;
    }
  }
  const testbed = await openTestbed(options);
  const [status, agents] = await Promise.all([testbed.status(), agentsOf(testbed)]);
  if (options.json) {
    printJson({ ...status, since: status.since ? new Date(status.since).toISOString() : null, emulator: status.emulator ?? null, agents });
    return exitCodes.ok;
  }
  const rows = testbed.hosts().map((host) => {
    const up = status.hosts.find((h) => h.name === host.name);
    const agent = agents.find((a) => a.host === host.name);
    return [host.name, host.site, host.roles.join("+") || "–", host.address ?? agent?.address ?? "–", up?.up ? "up" : `down: ${up?.detail ?? ""}`, agent?.text ?? "–", agent?.clock ?? "–"];
  });
  const since = status.since ? ` since ${clockTime(status.since)}` : "";
  print(`${testbed.kind} ${testbed.name}: ${status.up ? `up${since}` : "not all up"}\n`);
  print(table([["host", "site", "roles", "address", "host", "agent", "clock (host − manager, monotonic)"], ...rows]));
  const links = options.links ? status.links : status.links.filter((link) => link.changed || (link.kind === "path" && link.from !== link.to));
  if (links.length > 0) print(`\n${table([["link, one way", "delay", "jitter", "loss", "rate", ""], ...links.map(linkRow)])}`);
  if (status.emulator) print(`\nemulator: packets leave ${status.emulator.lateness.p50Us} µs late (median), ${status.emulator.lateness.p99Us} µs (99 %)`);
  return exitCodes.ok;
}

interface AgentStatus {
  readonly host: string;
  readonly text: string;
  readonly address?: string;
  readonly clock?: string;
  readonly version?: string;
  readonly dataPlane?: { readonly kind: string; readonly reason: string };
  readonly over?: string;
  readonly clockEstimate?: unknown;
  readonly error?: unknown;
}

/** Every host's agent, as far as it answers. */
async function agentsOf(testbed: Testbed): Promise<AgentStatus[]> {
  const accesses = testbed.hosts().map((handle) => new HostAccess(handle, testbed.kind === "fleet" ? askSecret : undefined));
  const outcomes = await attach(accesses, testbed.name);
  const all = await Promise.all(
    outcomes.map(async (o): Promise<AgentStatus> => {
      if (!o.ok) return { host: o.host, text: o.problem.code === "agent.notRunning" ? "none" : o.problem.message.replace(`${o.host}: `, ""), error: o.problem.toJSON() };
      const { client, hello, over } = o.value.control;
      try {
        const clock = await measureClock(client, 6);
        const offset = `${clock.offsetMs >= 0 ? "+" : "−"}${(Math.abs(clock.offsetMs) / 1000).toFixed(6)} s ± ${clock.errorMs.toFixed(3)} ms`;
        return { host: o.host, text: `${hello.version}, ${hello.dataPlane.kind}`, address: hello.address, clock: offset, version: hello.version, dataPlane: hello.dataPlane, over, clockEstimate: clock };
      } catch (error) {
        return { host: o.host, text: asProblem(error, o.host).message, error: asProblem(error, o.host).toJSON() };
      } finally {
        client.close();
      }
    }),
  );
  await Promise.all(accesses.map((access) => access.close()));
  return all;
}

function linkRow({ from, to, kind, quality, changed }: LinkStatus): string[] {
  const state = [quality.up ? "" : "down", changed ? "changed" : "", kind === "path" ? "" : kind].filter((word) => word !== "").join(", ");
  return [`${from} → ${to}`, formatDuration(quality.delayMs), quality.jitterMs > 0 ? formatDuration(quality.jitterMs) : "–", quality.loss > 0 ? formatShare(quality.loss) : "–", quality.rate === null ? "–" : formatRate(quality.rate), state];
}

/** hh:mm:ss of this machine, whatever its language. */
function clockTime(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}
