import { AppError } from "../../../src-shared/api/app/error.ts";
import type { LogLine, Task, TaskPart } from "../../../src-shared/api/app/work.ts";
import type { Emit } from "./store.ts";

interface Kept {
  task: Task;
  readonly log: LogLine[];
  cancelled: boolean;
}

/** What a task's work may do while it runs. */
export interface TaskHand {
  say(text: string, level?: LogLine["level"], source?: string): void;
  progress(done: number, detail: string): void;
  part(host: string, change: Partial<TaskPart>): void;
  /** Waits, scaled by the lab's speed; throws when the task is cancelled. */
  pause(ms: number): Promise<void>;
}

/** Long work with progress and a log. */
export class Tasks {
  readonly #tasks = new Map<string, Kept>();
  readonly #emit: Emit;
  readonly #speed: number;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #next = 1;

  constructor(emit: Emit, speed: number) {
    this.#emit = emit;
    this.#speed = speed;
  }

  start(kind: Task["kind"], title: string, hosts: readonly string[], work: (hand: TaskHand) => Promise<void>, cancellable = true): string {
    const id = `task-${this.#next++}`;
    const kept: Kept = {
      cancelled: false,
      log: [],
      task: {
        id,
        kind,
        title,
        state: "running",
        progress: 0,
        detail: null,
        remedy: null,
        startedAt: Date.now(),
        endedAt: null,
        cancellable,
        parts: hosts.map((host) => ({ host, phase: "waiting", progress: null, state: "waiting", detail: null, remedy: null })),
      },
    };
    this.#tasks.set(id, kept);
    this.#change(kept, {});
    void this.#run(kept, work);
    return id;
  }

  list(): Task[] {
    return [...this.#tasks.values()].map((kept) => kept.task).slice(-50);
  }

  log(id: string, after: number): LogLine[] {
    return this.#find(id).log.filter((line) => line.number > after);
  }

  cancel(id: string): void {
    this.#find(id).cancelled = true;
  }

  close(): void {
    for (const kept of this.#tasks.values()) kept.cancelled = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #find(id: string): Kept {
    const kept = this.#tasks.get(id);
    if (!kept) throw new AppError("not-found", `there is no task "${id}"`);
    return kept;
  }

  async #run(kept: Kept, work: (hand: TaskHand) => Promise<void>): Promise<void> {
    const hand = this.#hand(kept);
    try {
      await work(hand);
      const failed = kept.task.parts.filter((part) => part.state === "failed").length;
      this.#change(kept, { state: failed ? "failed" : "done", progress: 1, endedAt: Date.now(), cancellable: false, detail: failed ? `${failed} of ${kept.task.parts.length} hosts failed` : kept.task.detail });
    } catch (error) {
      const state = kept.cancelled ? "cancelled" : "failed";
      const problem = error instanceof AppError ? error : new AppError("internal", String(error));
      hand.say(problem.message, kept.cancelled ? "warn" : "error");
      this.#change(kept, { state, endedAt: Date.now(), cancellable: false, detail: problem.message, remedy: problem.remedy, parts: kept.task.parts.map((p) => (p.state === "done" || p.state === "failed" ? p : { ...p, state: "cancelled" })) });
    }
  }

  #hand(kept: Kept): TaskHand {
    return {
      say: (text, level = "info", source = "manager") => {
        const line: LogLine = { number: kept.log.length + 1, at: Date.now(), level, source, text };
        kept.log.push(line);
        this.#emit("task.log", { task: kept.task.id, lines: [line] });
      },
      progress: (progress, detail) => this.#change(kept, { progress, detail }),
      part: (host, change) => {
        const parts = kept.task.parts.map((part) => (part.host === host ? { ...part, ...change } : part));
        const done = parts.reduce((sum, part) => sum + (part.state === "done" || part.state === "failed" ? 1 : (part.progress ?? 0)), 0);
        this.#change(kept, { parts, progress: parts.length ? done / parts.length : null });
      },
      pause: (ms) => this.#pause(kept, ms),
    };
  }

  #pause(kept: Kept, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (kept.cancelled) reject(new AppError("cancelled", "cancelled"));
        else resolve();
      }, ms / this.#speed);
      this.#timers.add(timer);
    });
  }

  #change(kept: Kept, change: Partial<Task>): void {
    kept.task = { ...kept.task, ...change };
    this.#emit("task.changed", kept.task);
  }
}
