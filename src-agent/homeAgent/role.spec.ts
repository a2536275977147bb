import { describe, expect, it } from "vitest";
import { received } from "../../test/support/correspondentPeer.ts";
import type { AgentEventBody } from "../../src-shared/api/events.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { seededRandom } from "../../src-shared/stats/random.ts";
import { signRegistration } from "../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { ntpTimestamp } from "../../src-shared/protocol/core/timestamp.ts";
import type { DataPlane } from "../ports.ts";
import { HomeAgentRole, type HomePorts } from "./role.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const K = parseAddress("2001:db8:2::21");
const key = Buffer.alloc(32, 7);
const config = { homeAddress: X, associations: [{ spi: 1000, key: key.toString("base64") }], maxLifetimeSeconds: 420, homeLink: "auto" as const };

/** Ports that write down what is done, in order. */
class World {
  readonly done: string[] = [];
  readonly told: AgentEventBody[] = [];
  kept = new Map<string, unknown>();
  broken = false;
  unroutable = false;
  wall = Date.UTC(2026, 0, 1);
  readonly ports: HomePorts;

  constructor() {
    const { done, told } = this;
    const tunnel = (): void => {
      done.push("tunnel");
      if (this.unroutable) throw new Error("EHOSTUNREACH");
    };
    const plane = { tunnel, untunnel: () => done.push("untunnel") } as unknown as DataPlane;
    this.ports = {
      clock: { mono: () => this.wall - Date.UTC(2026, 0, 1), wall: () => this.wall },
      random: seededRandom("home").bytes,
      plane,
      send: () => done.push("send"),
      tell: (event) => void told.push(event),
      drop: () => {},
      own: H,
      links: { prefixValidMs: () => undefined, open: () => Promise.reject(new Error("no link")) as never },
      store: {
        list: () => [...this.kept.keys()].map(parseAddress),
        load: (home) => this.kept.get(home),
        save: (home, saved) => {
          done.push("save");
          if (this.broken) throw new Error("the disk is full");
          this.kept.set(home, JSON.parse(JSON.stringify(saved)));
        },
        remove: (home) => void this.kept.delete(home),
      },
    } as HomePorts;
  }

  register(role: HomeAgentRole, sequence: number): void {
    this.wall += 10;
    const message = { kind: "bindingUpdate" as const, sequence, acknowledge: true, homeRegistration: true, linkLocalCompatibility: false, keyManagement: false, lifetimeUnits: 100, options: [{ kind: "messageReplay" as const, timestamp: ntpTimestamp(this.wall) }] };
    const packet: MobilityPacket = signRegistration({ source: K, destination: H, homeAddress: X, message }, K, { spi: 1000, key });
    const { packet: arrived, mobilityHeader } = received(packet);
    role.onPacket(arrived, mobilityHeader);
  }
}

describe("the home agent's role", () => {
  it("has on the disk what it acknowledges before it does", () => {
    const world = new World();
    const role = HomeAgentRole.start(config, world.ports);
    world.done.length = 0;
    world.register(role, 1);
    expect(world.done).toEqual(["save", "tunnel", "send"]);
    expect(world.kept.get(X)).toMatchObject({ newestSpi: 1000, binding: { careOf: K, sequence: 1 } });
  });

  it("leaves the network at the agent's end and keeps the binding for the next start; a retired address is given up", () => {
    const world = new World();
    const role = HomeAgentRole.start(config, world.ports);
    world.register(role, 1);
    role.close();
    expect(world.done.at(-1)).toBe("untunnel");
    const again = HomeAgentRole.restore(X, world.ports);
    expect(again?.inspect()).toMatchObject({ phase: "registered", careOf: K });
    again?.retire();
    expect(world.done.at(-1)).toBe("untunnel");
    expect(world.kept.get(X)).toMatchObject({ binding: null });
  });

  it("acknowledges nothing when the tunnel cannot be made, and takes the next registration", () => {
    const world = new World();
    const role = HomeAgentRole.start(config, world.ports);
    world.unroutable = true;
    world.register(role, 1);
    expect(role.inspect()).toMatchObject({ phase: "unregistered" });
    expect(world.done).not.toContain("send");
    expect(world.kept.get(X)).toMatchObject({ binding: null });
    expect(world.told.at(-1)).toMatchObject({ type: "bindingRemoved", reason: "EHOSTUNREACH" });
    world.unroutable = false;
    world.register(role, 2);
    expect(role.inspect()).toMatchObject({ phase: "registered", sequence: 2 });
    expect(world.done.at(-1)).toBe("send");
  });

  it("keeps the fence when a restored tunnel cannot be made", () => {
    const world = new World();
    world.register(HomeAgentRole.start(config, world.ports), 1);
    world.unroutable = true;
    const again = HomeAgentRole.restore(X, world.ports);
    expect(again?.inspect()).toMatchObject({ phase: "unregistered" });
    expect(world.kept.get(X)).toMatchObject({ newestSpi: 1000, binding: null });
  });

  it("serves on when the disk fails, says so once, and writes again when it can", () => {
    const world = new World();
    const role = HomeAgentRole.start(config, world.ports);
    world.broken = true;
    world.register(role, 1);
    world.register(role, 2);
    expect(role.inspect()).toMatchObject({ phase: "registered", sequence: 2 });
    expect(world.told.filter((e) => e.type === "log" && e.level === "error")).toEqual([{ type: "log", level: "error", text: expect.stringMatching(/cannot be kept for a restart: the disk is full/) }]);
    world.broken = false;
    world.register(role, 3);
    expect(world.kept.get(X)).toMatchObject({ binding: { sequence: 3 } });
  });
});
