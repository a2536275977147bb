import { z } from "zod";
import { parseAddress } from "../net/address.ts";
import { formatPrefix, parsePrefix } from "../net/prefix.ts";
import { labRole } from "./lab.ts";

/** The fleet file: hosts that are there already and are reached over SSH. docs/fleet-file.md is its page for people; `fleetFileJsonSchema` its JSON Schema. */

const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, "a name has 1 to 32 lower-case letters, digits and inner hyphens")
  .meta({ description: "1 to 32 lower-case letters, digits and inner hyphens" });

function written<T>(parse: (text: string) => T, description: string) {
  return z
    .string()
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.issues.push({ code: "custom", message: (error as Error).message, input: text });
        return z.NEVER;
      }
    })
    .meta({ description });
}

/** How to log in and become root; on a host it goes before `defaults`. */
const login = {
  user: z.string().min(1).max(64).optional().meta({ description: "Login user; otherwise what ~/.ssh/config says" }),
  port: z.number().int().min(1).max(65535).optional(),
  identityFile: z.string().min(1).optional().meta({ description: "Private key, in place of those of ~/.ssh/config; relative to this file, ~ allowed" }),
  knownHosts: z.string().min(1).optional().meta({ description: "known_hosts file, in place of the user's; relative to this file, ~ allowed" }),
  sudo: z.enum(["ask", "nopasswd", "none"]).optional().meta({ description: "How the login becomes root. ask (the default): a password is asked for when sudo wants one; it is never stored" }),
};

export const fleetHost = z.strictObject({
  ssh: z.string().min(1).max(300).optional().meta({ description: "As you would give it to ssh: host, user@host, user@host:port, user@[address]:port, or an alias of ~/.ssh/config. Otherwise the host's name", examples: ["admin@n1.example.org"] }),
  ...login,
  site: name.default("fleet").meta({ description: "Hosts of one site are near each other" }),
  roles: z.array(labRole).default([]).meta({ description: "What the host is meant for; a hint to scenarios and to people" }),
  address: written(parseAddress, "IPv6 address that takes part; needed where the host has several").optional(),
  interface: z.string().min(1).max(15).optional().meta({ description: "Interface of that address; needed where several have one" }),
});

export const fleetFile = z.strictObject({
  $schema: z.string().optional(),
  name,
  description: z.string().max(2000).optional(),
  sshConfig: z.string().min(1).optional().meta({ description: "An ssh_config in place of ~/.ssh/config; relative to this file, ~ allowed" }),
  /** The prefix of anycast addresses and the host that it is routed to; you arrange the routing. */
  home: z.strictObject({ prefix: written((text) => formatPrefix(parsePrefix(text)), "IPv6 prefix"), host: name }).optional(),
  defaults: z.strictObject(login).default({}),
  hosts: z.record(name, fleetHost.nullable().transform((host) => host ?? fleetHost.parse({}))),
});
export type FleetFile = z.infer<typeof fleetFile>;
export type FleetHost = z.infer<typeof fleetHost>;

/** The fleet file's JSON Schema (2020-12), for editors. */
export function fleetFileJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(fleetFile, { io: "input" }) as Record<string, unknown>;
}
