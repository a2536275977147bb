import { exitCodes } from "../../../problem.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { loadBundle } from "../../../services/hosts/bundle.ts";
import { passes, preflight } from "../../../services/hosts/preflight.ts";
import { askSecret } from "../ask.ts";
import { print, printJson, table } from "../output.ts";
import { hostOf, meetHosts, openTestbed, type WhichOptions } from "./which.ts";

export interface PreflightOptions extends WhichOptions {
  readonly all?: boolean;
}

/** `lab preflight [HOST…]`: what stands in the way of an agent, host by host, with remedies. Changes nothing. Exit code 1 when something does. */
export async function preflightCommand(names: readonly string[], options: PreflightOptions): Promise<number> {
  const testbed = await openTestbed(options);
  const handles = names.length > 0 ? names.map((name) => hostOf(testbed, name)) : testbed.hosts();
  await meetHosts(testbed);
  const { architectures } = await loadBundle();
  const accesses = handles.map((handle) => new HostAccess(handle, askSecret));
  const found = await Promise.all(accesses.map(async (access) => ({ host: access.name, lines: await preflight(access, { architectures, ...(access.handle.nodePath && { nodePath: access.handle.nodePath }) }) })));
  await Promise.all(accesses.map((access) => access.close()));
  const ok = found.every(({ lines }) => passes(lines));
  if (options.json) {
    printJson({ ok, hosts: found.map(({ host, lines }) => ({ host, ok: passes(lines), lines })) });
    return ok ? exitCodes.ok : exitCodes.failed;
  }
  const marks = { yes: "✓", warning: "!", no: "✗" };
  for (const { host, lines } of found) {
    const shown = options.all || names.length > 0 ? lines : lines.filter((line) => line.ok !== "yes");
    print(`${host}: ${passes(lines) ? "ready" : "not ready"}`);
    if (shown.length > 0) print(table(shown.map((line) => [`  ${marks[line.ok]}`, line.check, line.detail, line.remedy ? `→ ${line.remedy}` : ""])));
  }
  return ok ? exitCodes.ok : exitCodes.failed;
}
