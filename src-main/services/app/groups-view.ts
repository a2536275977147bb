import { z } from "zod";
import type { Client, Group } from "../../../src-shared/api/app/lab.ts";

/** What of an agent's `inspect` is looked at; anything else in it is left alone. */
const inspected = z.object({
  groups: z.array(
    z.object({
      id: z.string(),
      home: z.string(),
      epoch: z.number().int().nonnegative(),
      contact: z.string(),
      links: z.record(z.string(), z.boolean()),
      connections: z.array(z.object({ client: z.string(), connections: z.array(z.unknown()) })),
      clients: z.array(z.object({ client: z.string(), server: z.string(), active: z.boolean() })),
      bound: z.array(z.object({ client: z.string() })),
      registration: z.object({ phase: z.string() }).nullable(),
    }),
  ),
  homes: z.array(z.object({ home: z.string(), phase: z.string() })),
});
export type Inspected = z.infer<typeof inspected>;

/** An agent's answer as far as it is understood. */
export function readInspection(value: unknown): Inspected {
  const read = inspected.safeParse(value);
  return read.success ? read.data : { groups: [], homes: [] };
}

/** What nobody tells but who formed the group. */
export type GroupHint = Pick<Group, "id" | "backups" | "services">;

/** The groups as their members see them. Hosts by name. */
export function groupsOf(hosts: ReadonlyMap<string, Inspected>, hints: readonly GroupHint[], clients: readonly Client[]): Group[] {
  const groups = new Map<string, Group>();
  for (const [host, { groups: own }] of hosts) {
    for (const group of own) {
      const members = [...new Set([...Object.keys(group.links), host])].sort();
      const contactsOwn = hosts.get(group.contact)?.groups.find((g) => g.id === group.id);
      const hint = hints.find((h) => h.id === group.id);
      groups.set(group.id, {
        id: group.id,
        home: group.home,
        homeAgent: [...hosts].find(([, { homes }]) => homes.some((h) => h.home === group.home))?.[0] ?? null,
        contact: group.contact,
        backups: hint?.backups ?? [],
        members: members.map((name) => ({
          name,
          host: name,
          state: hosts.get(name)?.groups.some((g) => g.id === group.id) ? (group.contact === name || contactsOwn?.links[name] !== false ? "up" : "joining") : "down",
          clients: clients.filter((client) => client.servedBy === name && client.group === group.id).length,
        })),
        services: hint?.services ?? [],
        epoch: group.epoch,
        registered: contactsOwn?.registration?.phase === "registered",
      });
    }
  }
  return [...groups.values()];
}

/** Every client that the contact of a group serves or has served by another member. `known` keeps why. */
export function clientsOf(hosts: ReadonlyMap<string, Inspected>, describe: (address: string) => Pick<Client, "id" | "name" | "site" | "host">, known: readonly Client[]): Client[] {
  return [...hosts].flatMap(([host, { groups }]) =>
    groups.flatMap((group) => {
      if (group.contact !== host) return [];
      return group.clients
        .filter((each) => each.active)
        .map(({ client, server }): Client => {
          const at = hosts.get(server)?.groups.find((g) => g.id === group.id);
          const described = describe(client);
          const before = known.find((each) => each.id === described.id && each.servedBy === server);
          const how = at?.bound.some((b) => b.client === client) ? "optimised" : server === group.contact ? "tunnel" : "relayed";
          return {
            ...described,
            address: client,
            group: group.id,
            servedBy: server,
            how: before?.how ?? how,
            why: before?.why ?? "",
            connections: at?.connections.find((c) => c.client === client)?.connections.length ?? 0,
          };
        });
    }),
  );
}
