import { check, libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const timespec = Buffer.alloc(16);

/** The monotonic clock now, ms. */
export function monotonicMs(): number {
  return clockMs(CLOCK_MONOTONIC);
}

/** A kernel's timestamp of something that has just happened (wall clock, a timespec at `at`) on the monotonic clock, ms: moved by what the two clocks read now. */
export function monotonicOf(stamp: Buffer, at: number): number {
  const { mono, real } = bothClocks();
  return mono - Math.max(0, real - timespecMs(stamp, at));
}

/** Both clocks at one moment: a thread that is put aside between two readings would shift everything told, so those are read again. */
function bothClocks(): { readonly mono: number; readonly real: number } {
  const closeEnoughMs = 0.02;
  let best = { mono: 0, real: 0, apart: Infinity };
  for (let i = 0; i < 5 && best.apart > closeEnoughMs; i++) {
    const before = clockMs(CLOCK_MONOTONIC);
    const real = clockMs(CLOCK_REALTIME);
    const after = clockMs(CLOCK_MONOTONIC);
    if (after - before < best.apart) best = { mono: (before + after) / 2, real, apart: after - before };
  }
  return best;
}

function clockMs(clock: number): number {
  check(libc.clockGettime(clock, timespec), "clock_gettime");
  return timespecMs(timespec, 0);
}

function timespecMs(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64LE(at)) * 1000 + Number(bytes.readBigInt64LE(at + 8)) / 1e6;
}
