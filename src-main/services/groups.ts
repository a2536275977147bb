import { randomBytes } from "node:crypto";
import { defaults, type AgentArgs, type AgentCallName, type AgentValue, type ServiceConfig } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import { Problem } from "../problem.ts";
import { GroupAuthority } from "./group-authority.ts";

/** A group as people define it: host names, and which services each member runs. */
export interface GroupDefinition {
  readonly id: string;
  readonly homeAddress: string;
  readonly homeAgent: string;
  /** Whether the home address is on the home agent's link or routed to it, where that is known; else its agent finds out. */
  readonly homeLink?: "onLink" | "routed";
  readonly contact: string;
  readonly backups: readonly string[];
  readonly members: readonly string[];
  readonly correspondents: readonly string[];
  readonly servicesOf: (member: string) => readonly ServiceConfig[];
  /** How many times longer than usual its members wait for each other, their services and clients; 1 unless set. */
  readonly patience?: number;
}

/** What forming a group needs of the agents. */
export interface GroupHosts {
  call<N extends AgentCallName>(host: string, call: N, args: AgentArgs<N>): Promise<AgentValue<N>>;
  addressOf(host: string): string;
  onEvent(listener: (host: string, event: AgentEvent) => void): () => void;
}

/** How long registration and links may take, ms: a few round trips, retransmissions included; on emulated processors the agents' first TLS handshakes take seconds each. */
const formingLimitMs = 60_000;
/** SPI of the first epoch; later epochs count up, which is the fence (an older SPI is refused). */
const firstSpi = 1000;
const maxLifetimeSeconds = 420;

/**
 * Gives everybody their part: correspondents, home agent, then members with the contact last, so that it finds the others waiting. Resolves when X is
 * registered and every pair of members is linked. When something fails, all that joined leave again, and the Problem says where it ended.
 */
export async function formGroup(group: GroupDefinition, epoch: number, hosts: GroupHosts): Promise<void> {
  const authority = await GroupAuthority.create(group.id);
  const registration = { spi: firstSpi + epoch - 1, key: randomBytes(32).toString("base64") };
  const standing = watchStanding(group, hosts);
  try {
    // A manager that was killed leaves its group behind.
    await dissolveGroup(group, hosts);
    await Promise.all(group.correspondents.map((host) => hosts.call(host, "serveCorrespondent", {})));
    await hosts.call(group.homeAgent, "serveHome", { homeAddress: group.homeAddress, associations: [registration], maxLifetimeSeconds, ...(group.homeLink && { homeLink: group.homeLink }) });
    const members = group.members.map((name) => ({ name, address: hosts.addressOf(name), port: defaults.memberPort }));
    const join = async (name: string): Promise<void> => {
      const { publicKey } = await hosts.call(name, "memberKey", { group: group.id });
      await hosts.call(name, "join", {
        id: group.id,
        homeAddress: group.homeAddress,
        homeAgent: hosts.addressOf(group.homeAgent),
        self: name,
        contact: group.contact,
        backups: [...group.backups],
        members,
        services: [...group.servicesOf(name)],
        epoch,
        ...(name === group.contact || group.backups.includes(name) ? { registration } : {}),
        authority: authority.pem,
        certificate: await authority.certify(name, publicKey),
        ...(group.patience !== undefined && { patience: group.patience }),
      });
    };
    await Promise.all(group.members.filter((name) => name !== group.contact).map(join));
    await join(group.contact);
    standing.hurry();
    await standing.reached;
  } catch (error) {
    await dissolveGroup(group, hosts).catch(() => {});
    throw error;
  } finally {
    standing.end();
  }
}

/** Everybody gives up the group. A host that cannot be reached is passed over; the first Problem is thrown when all have been tried. */
export async function dissolveGroup(group: Pick<GroupDefinition, "id" | "homeAddress" | "homeAgent" | "contact" | "members" | "correspondents">, hosts: GroupHosts): Promise<void> {
  const results = [];
  // The contact first, while its home agent still answers the deregistration.
  for (const name of [group.contact, ...group.members.filter((m) => m !== group.contact)]) results.push(...(await Promise.allSettled([hosts.call(name, "leave", { group: group.id })])));
  results.push(...(await Promise.allSettled([hosts.call(group.homeAgent, "retireHome", { homeAddress: group.homeAddress })])));
  // Last: while members serve, bindings come back.
  results.push(...(await Promise.allSettled(group.correspondents.map((host) => hosts.call(host, "retireCorrespondent", {})))));
  const failed = results.find((r) => r.status === "rejected");
  if (failed) throw failed.reason;
}

/** Watches the events for the moment at which X is registered and every member has a link to every other; from `hurry` on, when all have joined, not for longer than the limit. */
function watchStanding(group: GroupDefinition, hosts: GroupHosts): { readonly reached: Promise<void>; readonly hurry: () => void; readonly end: () => void } {
  const missing = new Set<string>([`registration of ${group.homeAddress}`]);
  for (const a of group.members) for (const b of group.members) if (a !== b) missing.add(`link ${a} to ${b}`);
  let refusal = "";
  let end = (): void => {};
  let hurry = (): void => {};
  const reached = new Promise<void>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const limitMs = formingLimitMs * (group.patience ?? 1);
    hurry = () => (timer = setTimeout(() => reject(notStanding(group.id, [...missing], refusal, limitMs)), limitMs));
    const stop = hosts.onEvent((host, { body }) => {
      if (body.type === "homeRegistered" && host === group.contact) missing.delete(`registration of ${group.homeAddress}`);
      if (body.type === "homeRegistrationFailed" && host === group.contact) refusal = body.reason;
      if (body.type === "memberUp") missing.delete(`link ${host} to ${body.member}`);
      if (missing.size === 0) resolve();
    });
    end = () => {
      clearTimeout(timer);
      stop();
    };
  });
  reached.catch(() => {}); // joining may fail first
  return { reached, hurry: () => hurry(), end: () => end() };
}

function notStanding(id: string, missing: readonly string[], refusal: string, limitMs: number): Problem {
  return new Problem({
    code: "group.not-formed",
    what: `group ${id} does not stand after ${limitMs / 1000} s; missing: ${missing.join(", ")}${refusal ? ` (${refusal})` : ""}`,
    remedy: `Check that members reach each other on TCP port ${defaults.memberPort} and the contact its home agent (protocol 135).`,
  });
}
