import { existsSync } from "node:fs";
import { join } from "node:path";
import { MemoryBackend } from "../../../src-renderer/backend/memory/backend.ts";
import { memoryOptions } from "../../../src-renderer/backend/memory/options.ts";
import { type Served, serve } from "../../../src-main/shells/serve/serve.ts";

export const builtWindow = join(import.meta.dirname, "../../../out/renderer");

/** Why nothing can be tested in a window here; null when all is there. */
export function missingWindow(): string | null {
  return existsSync(join(builtWindow, "index.html")) ? null : "the window is not built: node scripts/build.mjs";
}

export interface MemoryLab extends Served {
  readonly backend: MemoryBackend;
  /** What should not have happened, told by the shell. */
  readonly defects: readonly string[];
}

/** The serve shell with a simulated lab behind it; `lab` as in memoryOptions. */
export async function serveMemoryLab(lab: string): Promise<MemoryLab> {
  const backend = new MemoryBackend(memoryOptions(lab));
  const defects: string[] = [];
  const served = await serve({ backend, window: builtWindow, onDefect: (what) => defects.push(what) });
  return {
    ...served,
    backend,
    defects,
    close: async () => {
      await served.close();
      await backend.close();
    },
  };
}
