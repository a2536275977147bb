import type { AgentHost } from "./lab-session.ts";

const pings = 4;

/**
 * One-way latencies between hosts whose links are real, ms: half the shortest of a few round trips, so of a path whose two directions differ it is the
 * mean. `silent` lists the pairs that did not answer; between them it answers 0.
 */
export async function pingLatencies(hosts: readonly AgentHost[]): Promise<{ readonly between: (from: string, to: string) => number; readonly silent: readonly string[] }> {
  const halves = new Map<string, number>();
  const silent: string[] = [];
  await Promise.all(
    hosts.map(async (from, index) => {
      // Each pair once; one after the other, so that they do not disturb each other.
      for (const to of hosts.slice(index + 1)) {
        const { stdout } = await from.ssh.run(`ping -6 -n -c ${pings} -i 0.2 -W 2 ${to.hello.address} 2>/dev/null || ping -n -c ${pings} -i 0.2 -W 2 ${to.hello.address}`, { timeoutMs: 20_000 });
        const times = [...stdout.matchAll(/time[=<]([\d.]+) ms/g)].map((match) => Number(match[1]));
        if (times.length === 0) silent.push(`${from.handle.name} – ${to.handle.name}`);
        else for (const key of [`${from.handle.name} ${to.handle.name}`, `${to.handle.name} ${from.handle.name}`]) halves.set(key, Math.min(...times) / 2);
      }
    }),
  );
  return { silent, between: (from, to) => halves.get(`${from} ${to}`) ?? 0 };
}
