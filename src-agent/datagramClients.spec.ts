import { beforeEach, describe, expect, it } from "vitest";
import { parseAddress, type Address } from "../src-shared/net/address.ts";
import { DatagramClients, datagramIdleMs, datagramsOfAClient } from "./datagramClients.ts";

const client = parseAddress("2001:db8::1");
const other = (i: number): Address => parseAddress(`2001:db8:1::${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}`);

let told: string[];
let clients: DatagramClients;
beforeEach(() => {
  told = [];
  const tell = (what: string) => (c: string) => void told.push(`${what} ${c}`);
  clients = new DatagramClients({ onActive: tell("active"), onIdle: tell("idle"), onRefused: tell("refused") }, 0);
});
const send = (from: Address, times: number, now: number): void => {
  for (let i = 0; i < times; i++) clients.seen(from, now);
};

describe("clients by datagrams", () => {
  it("are those who have sent a few, told once", () => {
    send(client, datagramsOfAClient - 1, 0);
    expect(told).toEqual([]);
    send(client, 5, 1000);
    expect(told).toEqual([`active ${client}`]);
  });

  it("are not those who send one now and then", () => {
    for (let i = 0; i < 20; i++) send(client, 1, i * 15_000);
    expect(told).toEqual([]);
  });

  it("are gone when they have been silent for long, and not before", () => {
    send(client, 4, 0);
    send(client, 1, 10_000);
    clients.tick(datagramIdleMs + 9_999, false);
    expect(told).toEqual([`active ${client}`]);
    clients.tick(datagramIdleMs + 10_000, false);
    expect(told).toEqual([`active ${client}`, `idle ${client}`]);
    expect(clients.has(client)).toBe(false);
  });

  it("are not taken for silent while datagrams were missed", () => {
    send(client, 4, 0);
    clients.tick(datagramIdleMs + 1, true);
    clients.tick(datagramIdleMs + 2, false);
    expect(clients.has(client)).toBe(true);
    clients.tick(1.5 * datagramIdleMs + 2, false);
    expect(clients.has(client)).toBe(false);
  });

  it("come and go with handoffs without being told", () => {
    clients.adopt(client, 0);
    expect(told).toEqual([]);
    clients.forget(client);
    clients.tick(10 * datagramIdleMs, false);
    expect(told).toEqual([]);
    clients.adopt(client, 0);
    clients.tick(datagramIdleMs, false);
    expect(told).toEqual([`idle ${client}`]);
  });

  it("are admitted at a limited rate, however many addresses are made up", () => {
    for (let i = 0; i < 1000; i++) send(other(i), 4, 0);
    expect(told.filter((t) => t.startsWith("active")).length).toBe(100);
    expect(told.filter((t) => t === "refused too many new clients by datagrams").length).toBe(900);
    for (let i = 0; i < 1000; i++) send(other(10_000 + i), 4, 1000);
    expect(told.filter((t) => t.startsWith("active")).length).toBe(120);
  });

  it("take bounded memory for addresses that send once", () => {
    for (let i = 0; i < 100_000; i++) send(other(i), 1, i / 10);
    // The oldest were forgotten: three more of theirs do not suffice; of the newest they do.
    send(other(0), 3, 10_000);
    expect(told).toEqual([]);
    send(other(99_999), 3, 10_000);
    expect(told).toEqual([`active ${other(99_999)}`]);
  });
});
