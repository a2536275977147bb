export interface EchoScenario {
  readonly name: string;
  readonly title: string;
  readonly homeAgent: string;
  /** The first is the contact, and serves first. */
  readonly members: readonly string[];
  readonly client: string;
  /** YAML of the steps between the client's first packets and its last, one a line. */
  readonly steps: readonly string[];
  readonly handoffs: number;
}

/** A scenario file in which an echo client is handed from member to member, and nothing else happens. */
export function echoScenario({ name, title, homeAgent, members, client, steps, handoffs }: EchoScenario): string {
  return `
name: ${name}
title: ${title}
lab: quickstart
group:
  id: film
  address: 2001:db8:f::1
  homeAgent: ${homeAgent}
  members: [${members.join(", ")}]
  contact: ${members[0]}
  services: [{ kind: echo, name: talk, port: 7 }]
clients: [${client}]
workloads: [{ kind: echo, name: chat, client: ${client}, service: talk, period: 20 ms }]
steps:
  - start: chat
  - optimise: { client: ${client} }
${steps.map((step) => `  - ${step}`).join("\n")}
  - stop: chat
thresholds:
  - { name: All handoffs succeed, metric: count(handoffs), equals: ${handoffs} }
  - { name: The echo loses nothing, metric: lost(echoes), equals: 0, unit: lines }
`;
}
