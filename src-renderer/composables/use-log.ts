import { onScopeDispose, shallowRef } from "vue";
import type { LogLine } from "../../src-shared/api/app/work.ts";
import { useNotices } from "../stores/notices.ts";

/** A log that is read once and then followed; lines that arrive twice are shown once, in order, the newest 5000. */
export function useLog(read: (after: number) => Promise<LogLine[]>, follow: (take: (lines: readonly LogLine[]) => void) => () => void) {
  const lines = shallowRef<readonly LogLine[]>([]);
  const notices = useNotices();

  function take(fresh: readonly LogLine[]): void {
    const byNumber = new Map([...lines.value, ...fresh].map((line) => [line.number, line]));
    lines.value = [...byNumber.values()].sort((a, b) => a.number - b.number).slice(-5000);
  }

  onScopeDispose(follow(take));
  read(0).then(take, (error: unknown) => notices.failed("The log could not be read", error));
  return lines;
}
