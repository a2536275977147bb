import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import type { Run, Scenario } from "../../src-shared/api/app/run.ts";
import { useConnection } from "./connection.ts";

const active: readonly Run["state"][] = ["starting", "running", "stopping"];

/** Scenarios, and runs past and present. */
export const useRuns = defineStore("runs", () => {
  const { api, onReady } = useConnection();
  const scenarios = shallowRef<readonly Scenario[]>([]);
  const runs = shallowRef<readonly Run[]>([]);
  const loading = shallowRef(true);
  const problem = shallowRef<Error | null>(null);
  const current = computed(() => runs.value.find((run) => active.includes(run.state)) ?? null);

  api.on("run.changed", (run) => {
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

  return { scenarios, runs, loading, problem, current, reload: load, isActive: (run: Run) => active.includes(run.state) };
});
