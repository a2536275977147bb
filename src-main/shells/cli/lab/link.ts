import type { LinkChange } from "../../../../src-shared/api/lab.ts";
import { parseDuration, parseRate, parseShare } from "../../../../src-shared/api/units.ts";
import { exitCodes } from "../../../problem.ts";
import { print, printJson } from "../output.ts";
import { openTestbed, usage, type WhichOptions } from "./which.ts";

export interface LinkSetOptions extends WhichOptions {
  readonly delay?: string;
  readonly jitter?: string;
  readonly loss?: string;
  readonly rate?: string;
  readonly up?: boolean;
  readonly down?: boolean;
  readonly oneWay?: boolean;
}

/** `lab link set A B …`: both directions unless --one-way. What is not named stays as it is. */
export async function linkSetCommand(from: string, to: string, options: LinkSetOptions): Promise<number> {
  const change = changeOf(options);
  if (Object.keys(change).length === 0) throw usage("nothing to set was given", "Give --delay, --jitter, --loss, --rate, --up or --down; for example: lab link set n1 n2 --delay 20ms --loss 1%");
  const testbed = await openTestbed(options);
  await testbed.linkSet([{ link: { from, to }, bothWays: !options.oneWay, change }]);
  if (options.json) printJson({ ok: true, link: { from, to }, bothWays: !options.oneWay, change });
  else print(`${from} ${options.oneWay ? "→" : "↔"} ${to}: ${Object.entries(change).map(([key, value]) => `${key} ${value ?? "none"}`).join(", ")}`);
  return exitCodes.ok;
}

/** `lab link reset`: all links as the lab file says. */
export async function linkResetCommand(options: WhichOptions): Promise<number> {
  const testbed = await openTestbed(options);
  await testbed.linkReset();
  if (options.json) printJson({ ok: true });
  else print(`links of ${testbed.name} are as the lab file says`);
  return exitCodes.ok;
}

function changeOf(options: LinkSetOptions): LinkChange {
  if (options.up && options.down) throw usage("--up and --down exclude each other", "Give one of them.");
  const { delay, jitter, loss, rate } = options;
  return {
    ...(delay !== undefined && { delayMs: read("--delay", delay, parseDuration) }),
    ...(jitter !== undefined && { jitterMs: read("--jitter", jitter, parseDuration) }),
    ...(loss !== undefined && { loss: read("--loss", loss, parseShare) }),
    ...(rate !== undefined && { rate: rate === "none" ? null : read("--rate", rate, (text) => parseRate(withCapitals(text))) }),
    ...((options.up || options.down) && { up: options.up === true }),
  };
}

/** "100mbit", as tc has it, means 100 Mbit. */
const withCapitals = (rate: string) => rate.replace(/([mg])(?=bit|bps)/, (prefix) => prefix.toUpperCase());

function read(option: string, text: string, parse: (text: string) => number): number {
  try {
    return parse(text);
  } catch (error) {
    throw usage(`${option}: ${(error as Error).message}`, "See `lab link set --help`.");
  }
}
