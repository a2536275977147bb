import type { ScenarioFile, ScenarioStep } from "../../../src-shared/api/scenario.ts";
import { addressBytes } from "../../../src-shared/net/address.ts";
import { metricForms, parseMetric } from "../../report/metrics.ts";
import type { SourcePath } from "./yaml-source.ts";

/** A name that does not fit the rest of the scenario. */
export interface Misfit {
  readonly path: SourcePath;
  readonly message: string;
}

const serviceFor = { download: ["http"], upload: ["upload", "http"], echo: ["echo"] } as const;

/** What a schema can't say: that names mean something, and fit. `hosts` are the lab's, when it is known. */
export function misfits(scenario: ScenarioFile, hosts: readonly string[] | null): Misfit[] {
  return [...groupMisfits(scenario, hosts), ...workloadMisfits(scenario), ...thresholdMisfits(scenario), ...(["before", "steps", "after"] as const).flatMap((list) => stepMisfits(scenario, list))];
}

function oneOf(path: SourcePath, name: string, what: string, known: readonly string[]): Misfit[] {
  return known.includes(name) ? [] : [{ path, message: `"${name}" is no ${what}; there ${known.length === 1 ? "is" : "are"} ${known.join(", ") || "none"}` }];
}

function groupMisfits({ group, clients }: ScenarioFile, hosts: readonly string[] | null): Misfit[] {
  const found: Misfit[] = [];
  try {
    addressBytes(group.address);
  } catch (error) {
    found.push({ path: ["group", "address"], message: (error as Error).message });
  }
  found.push(...oneOf(["group", "contact"], group.contact, "member of the group", group.members));
  group.backups.forEach((name, i) => found.push(...oneOf(["group", "backups", i], name, "member of the group", group.members)));
  if (group.members.includes(group.homeAgent)) found.push({ path: ["group", "homeAgent"], message: "the home agent can't be a member of the group: it would tunnel to itself" });
  clients.forEach((name, i) => {
    if (group.members.includes(name) || name === group.homeAgent) found.push({ path: ["clients", i], message: `"${name}" has another role in the group` });
  });
  duplicates(group.services.map((s) => s.name)).forEach((i) => found.push({ path: ["group", "services", i, "name"], message: "there is a service of this name already" }));
  duplicates(group.services.map((s) => String(s.port))).forEach((i) => found.push({ path: ["group", "services", i, "port"], message: "another service has this port" }));
  if (hosts) {
    found.push(...oneOf(["group", "homeAgent"], group.homeAgent, "host of the lab", hosts));
    group.members.forEach((name, i) => found.push(...oneOf(["group", "members", i], name, "host of the lab", hosts)));
    clients.forEach((name, i) => found.push(...oneOf(["clients", i], name, "host of the lab", hosts)));
  }
  return found;
}

function workloadMisfits({ workloads, clients, group }: ScenarioFile): Misfit[] {
  const found = duplicates(workloads.map((w) => w.name)).map((i): Misfit => ({ path: ["workloads", i, "name"], message: "there is a workload of this name already" }));
  workloads.forEach((workload, i) => {
    found.push(...oneOf(["workloads", i, "client"], workload.client, "client", clients));
    const fitting = group.services.filter((s) => (serviceFor[workload.kind] as readonly string[]).includes(s.kind));
    found.push(...oneOf(["workloads", i, "service"], workload.service, `service that a ${workload.kind} can use`, fitting.map((s) => s.name)));
    const service = group.services.find((s) => s.name === workload.service);
    if (workload.kind === "download" && service?.kind === "http") found.push(...oneOf(["workloads", i, "path"], workload.path, `file of service ${service.name}`, service.files.map((f) => f.path)));
  });
  return found;
}

function thresholdMisfits({ thresholds }: ScenarioFile): Misfit[] {
  return thresholds.flatMap((threshold, i) => (parseMetric(threshold.metric) ? [] : [{ path: ["thresholds", i, "metric"], message: `unknown metric; known are ${metricForms.join("; ")}` }]));
}

function stepMisfits(scenario: ScenarioFile, list: "before" | "steps" | "after"): Misfit[] {
  const { clients, group, workloads } = scenario;
  const names = workloads.map((w) => w.name);
  const check = (step: ScenarioStep, at: SourcePath): Misfit[] => {
    const several = (key: "start" | "stop") => {
      const value = step[key];
      if (value === undefined) return [];
      return typeof value === "string" ? oneOf([...at, key], value, "workload", names) : value.flatMap((name, i) => oneOf([...at, key, i], name, "workload", names));
    };
    const found = [...several("start"), ...several("stop")];
    step.parallel?.forEach((steps, lane) => steps.forEach((inner, i) => found.push(...check(inner, [...at, "parallel", lane, i]))));
    for (const key of ["optimise", "prepare", "discardTokens", "handOver", "expect"] as const) {
      const value = step[key];
      if (value) found.push(...oneOf([...at, key, "client"], value.client, "client", clients));
    }
    if (step.handOver) found.push(...oneOf([...at, "handOver", "to"], step.handOver.to, "member of the group", group.members));
    if (step.expect) found.push(...oneOf([...at, "expect", "member"], step.expect.member, "member of the group", group.members));
    const moment = step.handOver?.at;
    if (moment && "workload" in moment) {
      const { workload } = moment;
      found.push(...oneOf([...at, "handOver", "at", "workload"], workload, "workload that moves bytes", workloads.filter((w) => w.kind !== "echo").map((w) => w.name)));
    }
    if (typeof step.wait === "object") found.push(...oneOf([...at, "wait", "for"], step.wait.for, "workload", names));
    const hosts = [group.homeAgent, ...group.members, ...clients];
    for (const key of ["stopNode", "killAgent"] as const) if (step[key] !== undefined) found.push(...oneOf([...at, key], step[key], "host of the scenario", hosts));
    return found;
  };
  return scenario[list].flatMap((step, i) => check(step, [list, i]));
}

/** Indices of the values that occurred before. */
function duplicates(values: readonly string[]): number[] {
  return values.flatMap((value, i) => (values.indexOf(value) < i ? [i] : []));
}
