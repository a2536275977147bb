import { exitCodes } from "../../../problem.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { attach } from "../../../services/hosts/deploy.ts";
import { askSecret } from "../ask.ts";
import { printJson } from "../output.ts";
import { hostOf, openTestbed, type WhichOptions } from "./which.ts";

/** `lab metrics HOST`: what the agent's Prometheus endpoint would say, read over SSH: the endpoint need not be on, nor its address reachable. */
export async function metricsCommand(host: string, options: WhichOptions): Promise<number> {
  const testbed = await openTestbed(options);
  const access = new HostAccess(hostOf(testbed, host), askSecret);
  try {
    const [outcome] = await attach([access], testbed.name);
    if (!outcome?.ok) throw outcome?.problem;
    const { client } = outcome.value.control;
    const { text } = await client.call("metrics", {});
    client.close();
    if (options.json) printJson({ lab: testbed.name, host, text });
    else process.stdout.write(text);
    return exitCodes.ok;
  } finally {
    await access.close();
  }
}
