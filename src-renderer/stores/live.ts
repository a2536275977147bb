import { defineStore } from "pinia";
import { markRaw, shallowRef, watch } from "vue";
import type { Handoff, LabEvent, LiveSample } from "../../src-shared/api/app/live.ts";
import { Ring } from "../logic/ring.ts";
import { Rolling } from "../logic/rolling.ts";
import { useConnection } from "./connection.ts";
import { useLab } from "./lab.ts";

const keptEvents = 3000;
const keptHandoffs = 500;
const publishEveryMs = 250;
const chartSpanMs = 120_000;

/** What happens in the open lab: bounded in memory, shown at most four times a second however much comes. */
export const useLive = defineStore("live", () => {
  const { api, onReady } = useConnection();
  const lab = useLab();
  const events = new Ring<LabEvent>(keptEvents);
  const goodput = markRaw(new Rolling(chartSpanMs));
  const clientsPerNode = markRaw(new Rolling(chartSpanMs));
  const byId = new Map<string, Handoff>();
  const handoffs = shallowRef<readonly Handoff[]>([]);
  const lastSample = shallowRef<LiveSample | null>(null);
  /** Counts publications: what reads a ring or a rolling series depends on it. */
  const version = shallowRef(0);
  const eventCount = shallowRef(0);
  const lost = shallowRef(0);
  const watchers = new Set<(handoff: Handoff) => void>();
  let dirty = false;

  function publish(): void {
    dirty = false;
    handoffs.value = [...byId.values()].sort((a, b) => b.startedAt - a.startedAt);
    eventCount.value = events.total;
    version.value++;
  }

  function changed(): void {
    if (dirty) return;
    dirty = true;
    setTimeout(publish, publishEveryMs);
  }

  function keep(handoff: Handoff): void {
    byId.set(handoff.id, handoff);
    if (byId.size > keptHandoffs) byId.delete(byId.keys().next().value as string);
  }

  api.on("agent.events", (batch) => {
    if (batch.lab !== lab.openId) return;
    events.add(batch.events);
    lost.value += batch.lost;
    changed();
  });
  api.on("events.lost", ({ count }) => (lost.value += count));
  api.on("handoff.changed", (batch) => {
    if (batch.lab !== lab.openId) return;
    for (const handoff of batch.handoffs) {
      keep(handoff);
      for (const watcher of watchers) watcher(handoff);
    }
    changed();
  });
  api.on("live.sample", ({ lab: of, sample }) => {
    if (of !== lab.openId) return;
    goodput.add(sample.at, new Map(sample.clients.map((client) => [client.id, client.mbit])));
    clientsPerNode.add(sample.at, new Map(sample.members.map((member) => [member.name, member.clients])));
    lastSample.value = sample;
    changed();
  });

  async function load(): Promise<void> {
    const of = lab.openId;
    if (!of) return;
    const [past, recent] = await Promise.all([api.call("handoff.list", { lab: of }), api.call("events.recent", { lab: of, limit: 500 })]);
    if (lab.openId !== of) return;
    events.clear();
    byId.clear();
    events.add(recent);
    for (const handoff of past) keep(handoff);
    publish();
  }
  watch(
    () => lab.openId,
    () => {
      goodput.clear();
      clientsPerNode.clear();
      lost.value = 0;
      void load().catch(() => publish());
    },
    { immediate: true },
  );
  onReady(() => load().catch(() => undefined));

  /** Calls `watcher` with every handoff that is new or changed; returns the function that ends it. */
  function onHandoff(watcher: (handoff: Handoff) => void): () => void {
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }

  return { handoffs, lastSample, version, eventCount, lost, recentEvents: (count: number) => events.list(count), goodput, clientsPerNode, onHandoff };
});
