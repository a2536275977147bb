import { defineStore } from "pinia";
import { ref } from "vue";
import { AppError } from "../../src-shared/api/app/error.ts";

export interface Notice {
  readonly id: number;
  readonly level: "info" | "error";
  readonly text: string;
  readonly remedy: string | null;
  readonly code: string | null;
}

/** Short messages in the corner. Errors stay until they are dismissed. */
export const useNotices = defineStore("notices", () => {
  const list = ref<Notice[]>([]);
  let next = 1;

  function add(notice: Omit<Notice, "id">): void {
    const same = list.value.find((each) => each.text === notice.text);
    if (same) return;
    const id = next++;
    list.value = [...list.value.slice(-4), { ...notice, id }];
    if (notice.level === "info") setTimeout(() => dismiss(id), 6000);
  }

  function info(text: string): void {
    add({ level: "info", text, remedy: null, code: null });
  }

  /** Shows why something did not work; `what` is what was tried. */
  function failed(what: string, error: unknown): void {
    const known = error instanceof AppError ? error : null;
    add({ level: "error", text: `${what}: ${error instanceof Error ? error.message : String(error)}`, remedy: known?.remedy ?? null, code: known?.code ?? null });
  }

  function dismiss(id: number): void {
    list.value = list.value.filter((notice) => notice.id !== id);
  }

  return { list, info, failed, dismiss };
});
