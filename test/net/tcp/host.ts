import { resolve } from "node:path";
import type { Address } from "../../../src-shared/net/address.ts";
import type { Prepared, Released } from "../../../src-agent/ports.ts";
import { ServiceHost } from "../../../src-agent/services/serviceHost.ts";

/** What a test asks of a member's host process. `handoff` names what was released or prepared. */
export type HostCommand =
  | { readonly do: "offer"; readonly home: string; readonly name: string; readonly port: number; readonly serve: readonly string[] | null; readonly test?: boolean }
  | { readonly do: "drain"; readonly home: string; readonly client: string; readonly deadlineMs: number }
  | { readonly do: "release"; readonly home: string; readonly client: string; readonly handoff: string }
  | { readonly do: "destroy" | "resume" | "activate" | "abort"; readonly handoff: string }
  | { readonly do: "prepareAdopt"; readonly home: string; readonly client: string; readonly handoff: string; readonly bundle: Uint8Array }
  | { readonly do: "connections"; readonly home: string; readonly client: string }
  | { readonly do: "proceed"; readonly home: string; readonly client: string }
  | { readonly do: "events" | "close" };

export type HostAnswer = { readonly kind: "log"; readonly text: string } | { readonly kind: "value"; readonly id: number; readonly value: unknown } | { readonly kind: "error"; readonly id: number; readonly code: string; readonly message: string };

const socketPath = process.argv[2] as string;
const tell = (message: HostAnswer) => process.send?.(message);
const adapter = resolve(import.meta.dirname, "../../../src-adapter/main.ts");
const testService = resolve(import.meta.dirname, "testService.ts");
const events: string[] = [];
const released = new Map<string, Released>();
const prepared = new Map<string, Prepared>();
const mono = () => Number(process.hrtime.bigint()) / 1e6;

const host = new ServiceHost({ socketPath, clock: { mono, wall: Date.now }, log: (level, text) => tell({ kind: "log", text: `${level}: ${text}` }), drop: (reason) => tell({ kind: "log", text: `warn: ${reason}` }) });
host.onClient((_, client, service, first) => events.push(`client ${client} ${service}${first ? " first" : ""}`));
host.onIdle((_, client) => events.push(`idle ${client}`));

async function carryOut(c: HostCommand): Promise<unknown> {
  switch (c.do) {
    case "offer": {
      const program = c.test ? testService : adapter;
      const [kind, ...more] = c.serve ?? [];
      const command = kind === undefined ? null : [process.execPath, program, kind, "--socket", socketPath, "--name", c.name, "--port", String(c.port), ...more];
      return host.offer(c.home as Address, { name: c.name, port: c.port, command });
    }
    case "drain":
      return host.drain(c.home as Address, c.client as Address, c.deadlineMs);
    case "proceed":
      return host.proceed(c.home as Address, c.client as Address);
    case "release": {
      const result = await host.release(c.home as Address, c.client as Address);
      released.set(c.handoff, result);
      return { bundle: result.bundle, connections: result.connections };
    }
    case "destroy":
      return released.get(c.handoff)?.destroy();
    case "resume":
      return released.get(c.handoff)?.resume();
    case "prepareAdopt":
      prepared.set(c.handoff, host.prepareAdopt(c.home as Address, c.client as Address, c.bundle));
      return;
    case "activate":
      return prepared.get(c.handoff)?.activate().done;
    case "abort":
      return prepared.get(c.handoff)?.abort();
    case "connections":
      return host.connectionsOf(c.home as Address, c.client as Address);
    case "events":
      return events;
    case "close":
      return host.close();
  }
}

process.on("message", (message: { id: number; command: HostCommand }) => {
  carryOut(message.command).then(
    (value) => tell({ kind: "value", id: message.id, value }),
    (error: Error & { code?: string }) => tell({ kind: "error", id: message.id, code: error.code ?? "", message: error.message }),
  );
});
process.on("disconnect", () => process.exit(0));
