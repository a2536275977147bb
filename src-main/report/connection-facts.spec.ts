import { describe, expect, it } from "vitest";
import type { Address } from "../../src-shared/net/address.ts";
import type { TcpHeader } from "../capture/frame.ts";
import type { Column } from "./columns.ts";
import { ConnectionGatherer } from "./connection-facts.ts";

const segment = (fields: Partial<TcpHeader>): TcpHeader => ({ sourcePort: 1, destinationPort: 2, sequence: 0, acknowledgement: 0, syn: false, fin: false, rst: false, ack: true, length: 0, stamp: null, ...fields });

const values = (column: Column) => Array.from(column.slice(0, 10));

/** A connection whose server stream starts just before the sequence numbers wrap. */
function opened(): { readonly facts: ConnectionGatherer; readonly server: (offset: number) => number; readonly client: (offset: number) => number } {
  const facts = new ConnectionGatherer("2001:db8::c" as Address, 4000, 80);
  const server = (offset: number) => (0xffff_fff0 + 1 + offset) >>> 0;
  const client = (offset: number) => (1000 + 1 + offset) >>> 0;
  facts.sent(segment({ syn: true, ack: false, sequence: 1000 }), "homeAgent");
  facts.arrived(segment({ syn: true, sequence: 0xffff_fff0, acknowledgement: client(0) }), "homeAgent", 10);
  facts.sent(segment({ sequence: client(0), acknowledgement: server(0) }), "direct");
  return { facts, server, client };
}

describe("a client's connection in a capture", () => {
  it("counts new payload once, across the wrap of sequence numbers", () => {
    const { facts, server, client } = opened();
    facts.arrived(segment({ sequence: server(0), acknowledgement: client(0), length: 100 }), "direct", 20);
    facts.sent(segment({ sequence: client(0), acknowledgement: server(100) }), "direct");
    facts.arrived(segment({ sequence: server(0), acknowledgement: client(0), length: 100 }), "direct", 30); // a repetition
    facts.arrived(segment({ sequence: server(200), acknowledgement: client(0), length: 100 }), "direct", 40); // a hole before it
    facts.arrived(segment({ sequence: server(100), acknowledgement: client(0), length: 100 }), "direct", 50); // fills it
    expect(values(facts.downAt)).toEqual([20, 40, 50]);
    expect(facts.downTo.last).toBe(300);
    expect(facts.fromStart).toBe(true);
    expect(facts.pathBytes).toEqual({ homeAgent: 0, contact: 0, direct: 400 });
  });

  it("counts what the client sent without FIN, and when it was acknowledged", () => {
    const { facts, server, client } = opened();
    facts.sent(segment({ sequence: client(0), acknowledgement: server(0), length: 50 }), "contact");
    facts.sent(segment({ sequence: client(50), acknowledgement: server(0), length: 30, fin: true }), "contact");
    facts.sent(segment({ sequence: client(81), acknowledgement: server(0) }), "contact");
    facts.arrived(segment({ sequence: server(0), acknowledgement: client(50) }), "contact", 20);
    facts.arrived(segment({ sequence: server(0), acknowledgement: client(50) }), "contact", 21);
    facts.arrived(segment({ sequence: server(0), acknowledgement: client(81) }), "contact", 22);
    expect(facts.sentTo).toBe(80);
    expect(values(facts.upAt)).toEqual([20, 22]);
    expect(facts.upTo.last).toBe(80);
  });

  it("takes round trips from the first echo of a time stamp, and repetitions as they leave", () => {
    const { facts, server } = opened();
    expect(facts.left(segment({ sequence: server(0), length: 100, stamp: { value: 7, echo: 0 } }), 100)).toBe(true);
    expect(facts.left(segment({ sequence: server(100), length: 100, stamp: { value: 7, echo: 0 } }), 101)).toBe(true);
    facts.came(segment({ stamp: { value: 1, echo: 7 } }), 140);
    facts.came(segment({ stamp: { value: 2, echo: 7 } }), 190);
    expect(facts.left(segment({ sequence: server(100), length: 100, stamp: { value: 9, echo: 0 } }), 200)).toBe(false);
    expect(values(facts.rttMs)).toEqual([40]);
    expect(values(facts.retransmitAt)).toEqual([200]);
  });

  it("keeps the RSTs that reached the client", () => {
    const { facts, server } = opened();
    facts.arrived(segment({ sequence: server(0), rst: true }), "homeAgent", 33);
    expect(facts.resetAt.last).toBe(33);
    expect(facts.downAt.length).toBe(0);
  });
});
