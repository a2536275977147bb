import { defineStore } from "pinia";
import { computed, type InjectionKey, type Ref, shallowRef } from "vue";
import type { Host } from "../../src-shared/api/app/host.ts";
import type { LabPatch, LabState, LabSummary } from "../../src-shared/api/app/lab.ts";
import { type KnownLab, nothingKnown, withPatch, withState } from "../logic/lab-state.ts";
import { type NodeLook, nodeLooks } from "../logic/node-look.ts";
import { useConnection } from "./connection.ts";

/** A large map costs more to draw, and changes more often than anyone can read. */
const patchEveryMs = (things: number) => (things < 150 ? 100 : 400);

const rereadAfterMs = 200;

/** Looks of members that are not of the open lab: those of the run that a part of the window shows. */
export const looksKey: InjectionKey<Ref<ReadonlyMap<string, NodeLook>>> = Symbol("looks");

/** The labs there are, and the state of the one that is open, changed at most ten times a second. */
export const useLab = defineStore("lab", () => {
  const { api, onReady } = useConnection();
  const labs = shallowRef<LabSummary[]>([]);
  const known = shallowRef<KnownLab>(nothingKnown);
  const openId = shallowRef<string | null>(null);
  const loading = shallowRef(true);
  const problem = shallowRef<Error | null>(null);
  let waiting: LabPatch[] = [];

  const state = computed<LabState | null>(() => known.value.state);
  const hosts = computed(() => new Map((state.value?.hosts ?? []).map((host) => [host.id, host])));
  const clients = computed(() => new Map((state.value?.clients ?? []).map((client) => [client.id, client])));
  /** A group that a run has dissolved keeps its looks: what happened in it is still shown. */
  let lastMembers = { lab: "", names: "" };
  const memberNames = computed(() => {
    const names = (state.value?.groups ?? []).flatMap((group) => group.members.map((member) => member.name)).join("\n");
    if (names || lastMembers.lab !== openId.value) lastMembers = { lab: openId.value ?? "", names };
    return lastMembers.names;
  });
  const looks = computed(() => nodeLooks(memberNames.value.split("\n").filter(Boolean)));
  const hostsUp = computed(() => count((host) => host.ssh.state === "connected"));
  const agentsUp = computed(() => count((host) => host.agent.is === "up"));

  const count = (test: (host: Host) => boolean) => (state.value?.hosts ?? []).filter(test).length;
  /** How a member looks; null for one that is not of the open lab. */
  const look = (member: string | null) => (member === null ? null : (looks.value.get(member) ?? null));
  /** A member's name for people: its host's, which may differ from its id. */
  const memberName = (member: string) => hosts.value.get(state.value?.groups.flatMap((g) => g.members).find((m) => m.name === member)?.host ?? member)?.name ?? member;

  function applyWaiting(): void {
    known.value = waiting.reduce(withPatch, known.value);
    waiting = [];
  }

  let rereading: ReturnType<typeof setTimeout> | undefined;
  /** A lab that came up, went down or was put up anew is told in the list alone: then what we know of it is read again. */
  function rereadIfOther(): void {
    const summary = labs.value.find((each) => each.id === openId.value);
    if (!summary || !state.value || (summary.phase === state.value.phase && summary.hosts === state.value.hosts.length)) return;
    void open(summary.id);
  }
  api.on("lab.list", (list) => {
    labs.value = list;
    clearTimeout(rereading);
    rereading = setTimeout(rereadIfOther, rereadAfterMs);
  });
  api.on("lab.patch", (patch) => {
    waiting.push(patch);
    if (waiting.length === 1) setTimeout(applyWaiting, patchEveryMs((state.value?.hosts.length ?? 0) + (state.value?.clients.length ?? 0)));
  });

  async function open(lab: string): Promise<void> {
    loading.value = true;
    openId.value = lab;
    try {
      if (known.value.state?.id !== lab) known.value = nothingKnown;
      const fresh = await api.call("lab.open", { lab });
      if (openId.value === lab) known.value = withState({ ...known.value, state: null }, fresh);
      problem.value = null;
    } catch (error) {
      problem.value = error as Error;
    } finally {
      loading.value = false;
    }
  }

  async function load(): Promise<void> {
    try {
      labs.value = await api.call("lab.list", {});
      const wanted = openId.value ?? useConnection().hello?.openLab ?? labs.value.find((lab) => lab.phase === "up" && lab.hosts > 0)?.id ?? labs.value.find((lab) => lab.kind === "local")?.id ?? labs.value[0]?.id;
      if (wanted) await open(wanted);
      else loading.value = false;
    } catch (error) {
      problem.value = error as Error;
      loading.value = false;
    }
  }
  onReady(load);

  return { labs, state, openId, loading, problem, hosts, clients, looks, hostsUp, agentsUp, look, memberName, open, reload: load };
});
