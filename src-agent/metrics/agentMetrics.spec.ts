import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { AgentMetrics, type Snapshot } from "./agentMetrics.ts";

const moved = (packets: number) => ({ packets, bytes: 100 * packets });
const snapshot: Snapshot = {
  version: "1.0",
  host: "k",
  dataPlaneKind: "ebpf",
  dataPlane: { translatedOut: moved(1), translatedIn: moved(2), tunnelledOut: moved(3), tunnelledIn: moved(4), relayed: moved(5), drops: { "tunnel from a stranger": 6 } },
  drops: { 'odd "reason"\\': 7 },
  signallingLost: 8,
  homeBindings: 1,
  correspondentBindings: 2,
  groups: [{ group: "g", members: 2, linksUp: 1, clients: 3, bound: 4, connections: 5, registered: true }],
  process: { residentBytes: 1e8, cpuSeconds: 1.5, startedAt: 1.7e9 },
};

/** Debian's python3-prometheus-client: every sample with its family's type. Null where it is not installed. */
function parsed(text: string): Record<string, number> | null {
  const program = `
import json, sys
try:
    from prometheus_client.parser import text_string_to_metric_families as parse
except ImportError:
    print("null"); sys.exit()
out = {}
for family in parse(sys.stdin.read()):
    assert family.type in ("counter", "gauge", "histogram"), family
    assert family.documentation, family
    for sample in family.samples:
        key = " ".join([family.type, sample.name, *sorted(f"{k}={v}" for k, v in sample.labels.items())])
        assert key not in out, key
        out[key] = sample.value
print(json.dumps(out))
`;
  const { stdout, stderr, status } = spawnSync("/usr/bin/python3", ["-c", program], { input: text, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Record<string, number> | null;
}

const hasParser = process.platform === "linux" && spawnSync("/usr/bin/python3", ["-c", "import prometheus_client"]).status === 0;
if (!hasParser) console.warn("metrics by an independent parser: skipped, python3-prometheus-client is not installed");

const step = { type: "handoffStep", home: "x", client: "c", donor: "k", acceptor: "a" } as const;
const done = { type: "handoffDone", home: "x", client: "c", donor: "k", acceptor: "a", connections: 1, drainMs: 0, bytes: 0 } as const;

describe("metrics of an agent", () => {
  it.skipIf(!hasParser)("are what an independent parser reads", () => {
    const metrics = new AgentMetrics();
    metrics.message("sent", "homeTestInit");
    metrics.message("received", "bindingAcknowledgement");
    metrics.message("received", "bindingAcknowledgement");
    metrics.observe({ ...step, handoff: "h1", mode: "full", step: "decided", at: 1000 });
    metrics.observe({ ...step, handoff: "h1", mode: "full", step: "done", at: 1200 });
    metrics.observe({ ...done, handoff: "h1", mode: "full" });
    metrics.observe({ type: "handoffFailed", home: "x", client: "c", donor: "k", acceptor: "a", handoff: "h2", mode: "prepared", step: "collect", reason: "no" });
    metrics.observe({ type: "bindingAccepted", role: "correspondent", home: "x", careOf: "y", sequence: 1, lifetimeSeconds: 420 });
    expect(parsed(metrics.render(snapshot))).toMatchObject({
      "gauge anycast_lab_agent_info data_plane=ebpf host=k version=1.0": 1,
      "counter anycast_lab_packets_total path=tunnelled_out": 3,
      "counter anycast_lab_bytes_total path=relayed": 500,
      "counter anycast_lab_drops_total place=data plane reason=tunnel from a stranger": 6,
      'counter anycast_lab_drops_total place=signalling reason=odd "reason"\\': 7,
      "counter anycast_lab_signalling_lost_total": 8,
      "counter anycast_lab_messages_total direction=sent type=HoTI": 1,
      "counter anycast_lab_messages_total direction=received type=BA": 2,
      "counter anycast_lab_messages_total direction=received type=BU": 0,
      "gauge anycast_lab_bindings role=correspondent": 2,
      "counter anycast_lab_binding_changes_total change=accepted role=correspondent": 1,
      "gauge anycast_lab_member_links_up group=g": 1,
      "gauge anycast_lab_clients group=g": 3,
      "counter anycast_lab_handoffs_total mode=full outcome=done": 1,
      "counter anycast_lab_handoffs_total mode=prepared outcome=failed": 1,
      "histogram anycast_lab_handoff_duration_seconds_bucket le=0.1 mode=full": 0,
      "histogram anycast_lab_handoff_duration_seconds_bucket le=0.25 mode=full": 1,
      "histogram anycast_lab_handoff_duration_seconds_count mode=full": 1,
      "histogram anycast_lab_handoff_duration_seconds_sum mode=full": 0.2,
      "gauge process_start_time_seconds": 1.7e9,
    });
  });

  it("have a bounded number of series, whatever is refused for however many reasons", () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`r${i}`, 1]));
    const text = new AgentMetrics().render({ ...snapshot, drops: many, dataPlane: { ...snapshot.dataPlane, drops: many } });
    const series = text.split("\n").filter((line) => line.startsWith("anycast_lab_drops_total"));
    expect(series.length).toBe(402);
    expect(series.at(-1)).toBe('anycast_lab_drops_total{place="signalling",reason="other reasons"} 800');
  });
});
