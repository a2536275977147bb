import type { Run } from "../../src-shared/api/app/run.ts";
import type { Status } from "./host-status.ts";

export function runStatus(run: Run): Status {
  const states = {
    starting: ["busy", "starting"],
    running: ["busy", "running"],
    stopping: ["busy", "stopping"],
    passed: ["good", "passed"],
    failed: ["bad", "failed"],
    stopped: ["off", "stopped"],
    broken: ["bad", "broken off"],
  } as const;
  const [tone, label] = states[run.state];
  return { tone, label };
}
