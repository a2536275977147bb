import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import type { Question, Task } from "../../src-shared/api/app/work.ts";
import { useConnection } from "./connection.ts";
import { useNotices } from "./notices.ts";

/** Long work of the manager, and the secrets it asks for. */
export const useTasks = defineStore("tasks", () => {
  const { api, onReady } = useConnection();
  const notices = useNotices();
  const byId = shallowRef<ReadonlyMap<string, Task>>(new Map());
  const questions = shallowRef<readonly Question[]>([]);
  const list = computed(() => [...byId.value.values()].sort((a, b) => b.startedAt - a.startedAt));
  const running = computed(() => list.value.filter((task) => task.state === "running"));

  api.on("task.changed", (task) => {
    const before = byId.value.get(task.id);
    byId.value = new Map([...byId.value, [task.id, task] as const].slice(-100));
    if (before?.state === "running" && task.state === "failed" && task.parts.length === 0) notices.failed(task.title, new Error(task.detail ?? "failed"));
  });
  api.on("question.asked", (question) => (questions.value = [...questions.value, question]));
  api.on("question.settled", ({ question }) => (questions.value = questions.value.filter((each) => each.id !== question)));

  onReady(async () => {
    try {
      byId.value = new Map((await api.call("task.list", {})).map((task) => [task.id, task]));
      questions.value = await api.call("question.list", {});
    } catch (error) {
      notices.failed("Tasks could not be read", error);
    }
  });

  /** The newest running or last task of a kind that touches the host, for progress beside it. */
  const partOf = (host: string) => {
    for (const task of list.value) {
      const part = task.parts.find((each) => each.host === host);
      if (part) return { task, part };
    }
    return null;
  };

  return { list, running, questions, partOf };
});
