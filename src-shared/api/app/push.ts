import { z } from "zod";
import type { Push } from "../app.ts";
import { AppError } from "./error.ts";
import { type AppEvent, type AppEventName, appEvents } from "./events.ts";

/** The manager's end of an event: checks the payload once, before it goes to any window. Throws AppError `bad-event`: a defect of ours. */
export function pushFrame<N extends AppEventName>(event: N, payload: AppEvent<N>): Push {
  const checked = appEvents[event].payload.safeParse(payload);
  if (!checked.success) throw new AppError("bad-event", `${event}: ${z.prettifyError(checked.error)}`);
  return { event, payload: checked.data };
}
