import type { LabPlan } from "../../../src-shared/api/labPlan.ts";
import type { MachineSupport } from "../vm/support.ts";
import type { Packages } from "./packages.ts";

/** What lab.json holds: all that the supervisor and later commands need to know. */
export interface LabRecord {
  readonly version: 1;
  readonly plan: LabPlan;
  readonly rootless: boolean;
  readonly packages: Packages;
  readonly startedAt: number;
  /** What its virtual machines run on; undefined where it has none. */
  readonly machines: MachineSupport | undefined;
  /** Seed of the emulator's loss and jitter. */
  readonly seed: number;
}

