import { asProblem, exitCodes } from "../../../problem.ts";
import { measureClock } from "../../../services/clock.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { attach } from "../../../services/hosts/deploy.ts";
import { askSecret } from "../ask.ts";
import { fail, printJson } from "../output.ts";
import { hostOf, openTestbed, type WhichOptions } from "./which.ts";

/** `lab inspect [HOST…]`: the whole state of agents, as JSON. Exit code 1 when one of them does not answer; the others are shown all the same. */
export async function inspectCommand(names: readonly string[], options: WhichOptions): Promise<number> {
  const testbed = await openTestbed(options);
  const handles = names.length > 0 ? names.map((name) => hostOf(testbed, name)) : testbed.hosts();
  const accesses = handles.map((handle) => new HostAccess(handle, askSecret));
  const outcomes = await attach(accesses, testbed.name);
  const hosts: Record<string, unknown> = {};
  let ok = true;
  for (const outcome of outcomes) {
    try {
      if (!outcome.ok) throw outcome.problem;
      const { client, hello } = outcome.value.control;
      const [state, counters, clock] = [await client.call("inspect", {}), await client.call("counters", {}), await measureClock(client)];
      client.close();
      hosts[outcome.host] = { agent: hello, clock, state, counters };
    } catch (error) {
      ok = false;
      hosts[outcome.host] = { error: asProblem(error, outcome.host).toJSON() };
      if (!options.json) fail(error, options);
    }
  }
  await Promise.all(accesses.map((access) => access.close()));
  printJson({ lab: testbed.name, hosts });
  return ok ? exitCodes.ok : exitCodes.failed;
}
