import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import type { Run, Scenario } from "../../src-shared/api/app/run.ts";
import { useConnection } from "./connection.ts";
import { useLab } from "./lab.ts";

const active: readonly Run["state"][] = ["starting", "running", "stopping"];

/** Scenarios, and runs past and present. */
export const useRuns = defineStore("runs", () => {
  const { api, onReady } = useConnection();
  const lab = useLab();
  const scenarios = shallowRef<readonly Scenario[]>([]);
  const runs = shallowRef<readonly Run[]>([]);
  const loading = shallowRef(true);
  const problem = shallowRef<Error | null>(null);
  const current = computed(() => runs.value.find((run) => active.includes(run.state)) ?? null);

  /** The run that this window started: its lab is shown as soon as it has one. */
  let followed: string | null = null;

  function follow(run: Run): void {
    if (run.id !== followed || run.lab === null) return;
    followed = null;
    if (run.lab !== lab.openId) void lab.open(run.lab);
  }

  /** Starts a scenario on a lab, or on one that it brings up; answers the run's id. Rejects with AppError. */
  async function start(scenario: string, onLab: string | null, keepLab = false): Promise<string> {
    const { run } = await api.call("run.start", { scenario, lab: onLab, keepLab });
    followed = run;
    const there = runs.value.find((each) => each.id === run);
    if (there) follow(there);
    return run;
  }

  api.on("run.changed", (run) => {
    follow(run);
    const others = runs.value.filter((each) => each.id !== run.id);
    runs.value = [...others, run].sort((a, b) => b.startedAt - a.startedAt);
  });

  async function load(): Promise<void> {
    try {
      [scenarios.value, runs.value] = await Promise.all([api.call("scenario.list", {}), api.call("run.list", {})]);
      problem.value = null;
    } catch (error) {
      problem.value = error as Error;
    } finally {
      loading.value = false;
    }
  }
  onReady(load);

  return { scenarios, runs, loading, problem, current, start, reload: load, isActive: (run: Run) => active.includes(run.state) };
});
