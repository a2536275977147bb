import type { RemoteProcess } from "../../ssh/process.ts";
import { quote } from "../../ssh/quote.ts";
import type { HostAccess } from "./access.ts";
import { lookAt } from "./facts.ts";
import { remotePlaces } from "./places.ts";

/** The agent's log on a host: its last lines, and with `follow` what comes. Ends by itself only without `follow`. */
export async function agentLog(access: HostAccess, deployment: string, options: { readonly lines: number; readonly follow: boolean }): Promise<RemoteProcess> {
  const { run } = remotePlaces(access.name, await lookAt(access), deployment);
  const connection = await access.connection();
  return connection.start(`exec tail -n ${options.lines} ${options.follow ? "-F" : ""} ${quote(`${run}/agent.log`)}`);
}
