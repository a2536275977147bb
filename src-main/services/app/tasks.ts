import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { LogLine, Task, TaskPart } from "../../../src-shared/api/app/work.ts";
import { asProblem, type Problem } from "../../problem.ts";
import { LogLines } from "./log-lines.ts";
import type { Emit } from "./store.ts";

/** Progress is told at most so often, ms; how a task ends is told at once. */
const tellEveryMs = 100;
const keptTasks = 50;

interface Kept {
  task: Task;
  readonly log: LogLines;
  readonly abort: AbortController;
  timer: NodeJS.Timeout | null;
}

/** What a task's work may do while it runs. */
export interface TaskHand {
  readonly signal: AbortSignal;
  say(text: string, level?: LogLine["level"], source?: string): void;
  progress(done: number | null, detail: string): void;
  part(host: string, change: Partial<TaskPart>): void;
  /** A part failed: its detail and remedy, and a line in the log. */
  failed(host: string, problem: Problem): void;
}

/** Long work with progress and a log, outliving the window that asked for it. */
export class Tasks {
  readonly #tasks = new Map<string, Kept>();
  readonly #emit: Emit;
  #next = 1;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  readonly handlers = {
    "task.list": () => this.#list(),
    "task.log": ({ task, after }) => this.#find(task).log.after(after),
    "task.cancel": ({ task }) => this.#cancel(task),
  } satisfies Partial<AppHandlers>;

  /** Starts work and answers its id. It fails when it rejects, or when a part of it failed. */
  start(kind: Task["kind"], title: string, hosts: readonly string[], work: (hand: TaskHand) => Promise<void>, options: { readonly cancellable?: boolean } = {}): string {
    const id = `task-${this.#next++}`;
    const task: Task = {
      id,
      kind,
      title,
      state: "running",
      progress: null,
      detail: null,
      remedy: null,
      startedAt: Date.now(),
      endedAt: null,
      cancellable: options.cancellable ?? false,
      parts: hosts.map((host) => ({ host, phase: "waiting", progress: null, state: "waiting", detail: null, remedy: null })),
    };
    const kept: Kept = { task, log: new LogLines((lines) => this.#emit("task.log", { task: id, lines })), abort: new AbortController(), timer: null };
    this.#tasks.set(id, kept);
    this.#forgetOld();
    this.#tell(kept);
    void this.#run(kept, work);
    return id;
  }

  close(): void {
    for (const kept of this.#tasks.values()) {
      kept.abort.abort();
      if (kept.timer) clearTimeout(kept.timer);
    }
  }

  #list(): Task[] {
    return [...this.#tasks.values()].map((kept) => kept.task);
  }

  #cancel(id: string): Record<string, never> {
    const kept = this.#find(id);
    if (kept.task.state === "running" && !kept.task.cancellable) throw new AppError("unsupported", `"${kept.task.title}" cannot be cancelled on its way`, { remedy: "Let it end, then undo it." });
    kept.abort.abort();
    return {};
  }

  #find(id: string): Kept {
    const kept = this.#tasks.get(id);
    if (!kept) throw new AppError("not-found", `there is no task "${id}"`);
    return kept;
  }

  #forgetOld(): void {
    for (const [id, { task }] of this.#tasks) {
      if (this.#tasks.size <= keptTasks) return;
      if (task.state !== "running") this.#tasks.delete(id);
    }
  }

  async #run(kept: Kept, work: (hand: TaskHand) => Promise<void>): Promise<void> {
    try {
      await work(this.#hand(kept));
      const failed = kept.task.parts.filter((part) => part.state === "failed").length;
      const detail = failed ? `${failed} of ${kept.task.parts.length} ${kept.task.parts.length === 1 ? "host" : "hosts"} failed` : kept.task.detail;
      this.#end(kept, { state: kept.abort.signal.aborted ? "cancelled" : failed ? "failed" : "done", progress: 1, detail });
    } catch (error) {
      const problem = asProblem(error);
      const cancelled = kept.abort.signal.aborted;
      kept.log.add(problem.message, cancelled ? "warn" : "error");
      for (const line of problem.evidence?.split("\n").slice(0, 50) ?? []) kept.log.add(line, "error");
      const parts = kept.task.parts.map((part): TaskPart => (part.state === "done" || part.state === "failed" ? part : { ...part, state: "cancelled" }));
      this.#end(kept, { state: cancelled ? "cancelled" : "failed", detail: problem.message, remedy: problem.remedy, parts });
    }
  }

  #hand(kept: Kept): TaskHand {
    const part = (host: string, change: Partial<TaskPart>): void => {
      const parts = kept.task.parts.map((each) => (each.host === host ? { ...each, ...change } : each));
      const done = parts.reduce((sum, each) => sum + (each.state === "done" || each.state === "failed" ? 1 : (each.progress ?? 0)), 0);
      this.#change(kept, { parts, progress: parts.length > 0 ? done / parts.length : null });
    };
    return {
      signal: kept.abort.signal,
      say: (text, level = "info", source = "manager") => kept.log.add(text, level, source),
      progress: (progress, detail) => this.#change(kept, { progress, detail }),
      part,
      failed: (host, problem) => {
        part(host, { state: "failed", detail: problem.message, remedy: problem.remedy });
        kept.log.add(problem.message, "error", host);
        for (const line of problem.evidence?.split("\n").slice(0, 50) ?? []) kept.log.add(line, "error", host);
      },
    };
  }

  #change(kept: Kept, change: Partial<Task>): void {
    kept.task = { ...kept.task, ...change };
    kept.timer ??= setTimeout(() => this.#tell(kept), tellEveryMs);
  }

  #end(kept: Kept, change: Partial<Task>): void {
    kept.task = { ...kept.task, ...change, endedAt: Date.now(), cancellable: false };
    this.#tell(kept);
  }

  #tell(kept: Kept): void {
    if (kept.timer) clearTimeout(kept.timer);
    kept.timer = null;
    this.#emit("task.changed", kept.task);
  }
}
