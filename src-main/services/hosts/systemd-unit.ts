import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

const template = resolve(import.meta.dirname, "../../../assets/systemd/anycast-lab-agent.service");

/** An agent as a systemd service. `capabilities` as setpriv names them. */
export interface AgentUnit {
  readonly deployment: string;
  readonly host: string;
  readonly uid: number;
  readonly gid: number;
  readonly capabilities: readonly string[];
  readonly command: readonly string[];
}

/** The unit file of an agent: assets/systemd/anycast-lab-agent.service, filled in. */
export async function unitText(unit: AgentUnit): Promise<string> {
  const fill: Readonly<Record<string, string>> = {
    DEPLOYMENT: unit.deployment,
    HOST: unit.host,
    UID: String(unit.uid),
    GID: String(unit.gid),
    CAPABILITIES: unit.capabilities.map((name) => `CAP_${name.toUpperCase()}`).join(" "),
    COMMAND: unit.command.map(unitWord).join(" "),
  };
  return (await readFile(template, "utf8")).replaceAll(/@([A-Z]+)@/g, (word, key: string) => fill[key] ?? word);
}

/** A word of ExecStart= (systemd.service(5)): quoted, with $ and % doubled so that nothing is expanded. */
function unitWord(word: string): string {
  const escaped = word.replaceAll(/[\\"]/g, (c) => `\\${c}`).replaceAll(/[%$]/g, (c) => c + c);
  return `"${escaped}"`;
}
