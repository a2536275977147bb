import type { Client } from "../../src-shared/api/app/lab.ts";
import { plain } from "./plain.ts";

export const howText: Readonly<Record<Client["how"], string>> = {
  optimised: "route optimised",
  tunnel: "through the home agent's tunnel",
  relayed: "relayed by the contact",
};

/** One line about a client; `nameOf` gives a member's name. */
export function clientSummary(client: Client, nameOf: (member: string) => string): string {
  const server = client.servedBy === null ? "served by nobody" : `served by ${plain(nameOf(client.servedBy))}, ${howText[client.how]}`;
  return `Client ${plain(client.name)}, ${server}, ${client.connections} connections`;
}
