import { z } from "zod";
import { id, line } from "./text.ts";

export const columns = z.number().int().min(2).max(1000);
export const rows = z.number().int().min(1).max(1000);

/**
 * A shell on a host. It belongs to the manager, not to the window: it survives a reload, and `terminal.attach` replays its scrollback.
 * `lost`: the SSH connection broke and the manager is reconnecting; the shell itself is gone then.
 */
export const terminal = z.object({ id, host: id, title: line, state: z.enum(["open", "lost", "ended"]), detail: line.nullable() });
export type Terminal = z.infer<typeof terminal>;

/** Bytes that a terminal may have under way to a window before it waits for `terminal.consumed`. */
export const terminalWindowBytes = 256 * 1024;
