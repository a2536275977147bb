import { defineStore } from "pinia";
import { shallowRef } from "vue";

/** Whether the tour is on, and where in it we are; null when it is not. */
export const useTour = defineStore("tour", () => {
  const step = shallowRef<number | null>(null);
  /** The run that the tour started. */
  const run = shallowRef<string | null>(null);
  return {
    step,
    run,
    begin: () => {
      step.value = 0;
      run.value = null;
    },
    end: () => (step.value = null),
  };
});
