import { z } from "zod";
import type { AppBackend, AppWindow, Reply } from "../app.ts";
import { appCalls, isAppCall } from "./calls.ts";
import { AppError, errorText } from "./error.ts";

const requestFrame = z.object({ id: z.number().int().nonnegative(), call: z.string().max(100), args: z.unknown() });

/** The manager's end of a call: checks name, arguments and value. Answers null to what is not even a request (the shell closes such a connection). */
export async function dispatch(backend: AppBackend, frame: unknown, window: AppWindow): Promise<Reply | null> {
  const request = requestFrame.safeParse(frame);
  if (!request.success) return null;
  const { id, call, args } = request.data;
  try {
    return { id, ok: true, value: await answer(backend, call, args, window) };
  } catch (thrown) {
    return { id, ok: false, error: errorText(thrown) };
  }
}

async function answer(backend: AppBackend, call: string, rawArgs: unknown, window: AppWindow): Promise<unknown> {
  if (!isAppCall(call)) throw new AppError("unknown-call", `there is no call named ${JSON.stringify(call)}`, { remedy: "Reload the window: it may be of another version." });
  const { args, value } = appCalls[call];
  const checked = args.safeParse(rawArgs);
  if (!checked.success) throw new AppError("bad-arguments", `${call}: ${z.prettifyError(checked.error)}`);
  const handler = backend.handlers[call] as (args: unknown, window: AppWindow) => unknown;
  const result = value.safeParse(await handler(checked.data, window));
  if (!result.success) throw new AppError("bad-value", `${call} answered something that is not its value: ${z.prettifyError(result.error)}`, { remedy: "This is a defect of the program; please report it." });
  return result.data;
}
