import type { Client, LabState, Link } from "../../../src-shared/api/app/lab.ts";
import type { HandoffDetail, LadderMessage, LadderStep } from "../../../src-shared/api/app/live.ts";
import type { HandoffMode } from "../../../src-shared/api/handoff.ts";
import type { Dice } from "./random.ts";

export interface HandoffPlan {
  readonly id: string;
  readonly client: Client;
  readonly donor: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
  readonly startedAt: number;
}

/** One-way delay from one site to another, milliseconds; half a millisecond within a site. */
export function oneWay(links: readonly Link[], from: string, to: string): number {
  const link = links.find((l) => (l.a === from && l.b === to) || (l.a === to && l.b === from));
  if (!link) return 0.5;
  return link.a === from ? link.there.delayMs : link.back.delayMs;
}

/** A believable ladder for a handoff: the messages of docs/protocol.md over the lab's delays, with a little work and luck at every step. */
export function playHandoff(lab: LabState, plan: HandoffPlan, dice: Dice): HandoffDetail {
  const group = lab.groups[0];
  if (!group) throw new RangeError("no group to hand off in");
  const contact = group.contact;
  const homeAgent = group.homeAgent ?? contact;
  const client = plan.client.id;
  const siteOf = (id: string) => (id === client ? plan.client.site : (lab.hosts.find((h) => h.id === id)?.site ?? plan.client.site));
  const hop = (from: string, to: string) => (from === to ? 0 : oneWay(lab.links, siteOf(from), siteOf(to)));
  const steps: LadderStep[] = [];
  const messages: LadderMessage[] = [];
  let now = 0;
  let share = 0;
  const work = (late = 0) => (now += 0.15 + dice.tail(dice.next() < late ? 14 : 0.4));
  const errorOf = (id: string) => lab.hosts.find((h) => h.id === id)?.clock?.errorMs ?? null;
  const step = (name: string, column: string, predictedMs: number | null = null, since = now) => {
    steps.push({ name, column, at: now, errorMs: errorOf(column), predictedMs, measuredMs: predictedMs === null ? null : now - since });
    share += predictedMs ?? 0;
  };
  const send = (label: string, from: string, to: string, via: string | null = null, summary = label) => {
    const path = via === null ? hop(from, to) : hop(from, via) + hop(via, to);
    messages.push({ from, to, via, sentAt: now, receivedAt: now + path, arrivalWatched: true, label, summary });
    now += path;
    return path;
  };
  const exchange = (name: string, label: [string, string], at: string, via: string | null) => {
    const since = now;
    const there = send(label[0], at, client, via, `${label[0]} ${group.home} → ${plan.client.address}`);
    work(0.15);
    const back = send(label[1], client, at, via, `${label[1]} ${plan.client.address} → ${group.home}`);
    step(name, at, there + back, since);
    work();
  };

  now = -(0.4 + dice.tail(0.6));
  step("decided", contact);
  now = 0;
  if (plan.mode === "full") {
    step("homeTestInit", contact);
    exchange("homeTest", ["HoTI", "HoT"], contact, homeAgent === contact ? null : homeAgent);
  }
  if (contact !== plan.donor) send("Hand over", contact, plan.donor);
  // In `full` the offer does not wait until the services have let go.
  const sentAt = plan.mode === "full" ? now : now + 0.15 + dice.tail(0.4);
  const frozenAt = plan.mode === "full" ? now + 0.3 + dice.tail(2) : now;
  for (const [name, at] of [["stateSent", sentAt], ["frozen", frozenAt]] as const) {
    now = at;
    step(name, plan.donor);
  }
  now = sentAt;
  const path = send("State, tokens", plan.donor, plan.acceptor);
  step("stateReceived", plan.acceptor, path, sentAt);
  work();
  step("careOfTestInit", plan.acceptor);
  exchange("careOfTest", ["CoTI", "CoT"], plan.acceptor, null);
  step("bindingUpdate", plan.acceptor);
  exchange("bindingAcknowledgement", ["BU", "BA"], plan.acceptor, null);
  work();
  step("restored", plan.acceptor);
  now += 0.1;
  step("firstPacket", plan.acceptor);
  const measuredMs = now;
  const firstPacketAt = now;
  send("First packet", plan.acceptor, client);
  const heardAt = now;
  now = firstPacketAt;
  send("Done", plan.acceptor, contact);
  step("done", contact);

  const lastHeard = frozenAt + hop(plan.donor, client);
  return {
    handoff: {
      id: plan.id,
      group: group.id,
      home: group.home,
      client,
      clientName: plan.client.name,
      donor: plan.donor,
      acceptor: plan.acceptor,
      mode: plan.mode,
      state: "done",
      reason: null,
      startedAt: plan.startedAt,
      predictedMs: share,
      measuredMs,
      errorMs: (errorOf(contact) ?? 0) + (errorOf(plan.acceptor) ?? 0),
      clientGapMs: Math.max(0, heardAt - lastHeard),
      connections: plan.client.connections,
      bytes: Math.floor(dice.tail(40_000)),
    },
    decisionMs: -(steps[0]?.at ?? 0),
    drainMs: 0,
    frozenMs: measuredMs - frozenAt,
    columns: columnsOf(lab, plan, contact, homeAgent),
    steps,
    messages,
    silence: heardAt > lastHeard ? { from: lastHeard, to: heardAt, usualMs: 0.9 + dice.tail(0.4) } : null,
  };
}

function columnsOf(lab: LabState, plan: HandoffPlan, contact: string, homeAgent: string): HandoffDetail["columns"] {
  const columns = new Map<string, HandoffDetail["columns"][number]>();
  const add = (id: string, role: HandoffDetail["columns"][number]["roles"][number]) => {
    const known = columns.get(id);
    const name = id === plan.client.id ? plan.client.name : (lab.hosts.find((h) => h.id === id)?.name ?? id);
    columns.set(id, { id, name, roles: [...(known?.roles ?? []), role] });
  };
  add(homeAgent, "homeAgent");
  add(contact, "contact");
  add(plan.donor, "donor");
  add(plan.acceptor, "acceptor");
  add(plan.client.id, "client");
  return [...columns.values()];
}
