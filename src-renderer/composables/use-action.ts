import { shallowRef } from "vue";
import { useNotices } from "../stores/notices.ts";

/** Runs something that may fail: `busy` while it does, a notice when it did. Answers undefined after a failure. */
export function useAction() {
  const busy = shallowRef(false);
  const notices = useNotices();

  async function run<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    busy.value = true;
    try {
      return await work();
    } catch (error) {
      notices.failed(what, error);
      return undefined;
    } finally {
      busy.value = false;
    }
  }

  return { busy, run };
}
