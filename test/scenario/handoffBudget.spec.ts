import { describe, expect, it } from "vitest";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { coefficients, predict } from "../../src-shared/predict/predict.ts";
import type { GroupView } from "../../src-shared/protocol/core/group/effects.ts";
import { MemberRole } from "../../src-shared/sim/memberRole.ts";
import { VirtualNetwork, type Happening } from "../../src-shared/sim/network.ts";
import { serveCorrespondent } from "../../src-shared/sim/roles.ts";
import { seededRandom } from "../../src-shared/stats/random.ts";
import { leastSquares } from "../../src-shared/stats/regression.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const C = parseAddress("2001:db8:c::10");
const members = new Map<string, Address>([["K", parseAddress("2001:db8:1::1")], ["A", parseAddress("2001:db8:2::1")], ["B", parseAddress("2001:db8:3::1")]]);
/** One-way, all different, so that a hop counted for another shows. */
const latency = { KH: 3, HC: 29, KA: 7, KB: 11, AB: 17, KC: 23, AC: 41, BC: 53, AH: 5, BH: 9 };

type Step = Extract<Happening, { what: "event" }>;

class World {
  readonly network: VirtualNetwork;
  readonly roles = new Map<string, MemberRole>();
  sent = 0;

  constructor(seed: string, paths: Readonly<Record<keyof typeof latency, number>> = latency) {
    this.network = new VirtualNetwork(seed);
    const { network } = this;
    const h = network.node("H", { address: H, attracts: [X] });
    const c = network.node("C", { address: C });
    for (const [pair, latencyMs] of Object.entries(paths)) network.link(pair.charAt(0), pair.charAt(1), { latencyMs });
    serveCorrespondent(c);
    for (const [name, address] of members) {
      const view: GroupView = { id: "g", home: X, homeAgent: H, self: name, contact: "K", members, lifetimeSeconds: 420 };
      this.roles.set(name, new MemberRole(network.node(name, { address }), view));
    }
    // The registration itself is another test's business.
    h.plane.tunnel(X, members.get("K") as Address);
    this.talk(1);
    this.run(500);
  }

  /** The client says the next `count` things to X, 1 ms apart. */
  talk(count: number): void {
    const { network } = this;
    for (let i = 0; i < count; i++) {
      const data = ++this.sent;
      network.clock.schedule(network.clock.now + i, () => network.say("C", { source: C, destination: X, data }));
    }
  }

  run(ms: number): void {
    this.network.runFor(ms);
  }

  /** Hands the client over and runs until the contact has the outcome. */
  handOver(handoff: string, acceptor: string, mode: "full" | "prepared"): void {
    const contact = this.roles.get("K") as MemberRole;
    contact.ask({ kind: "handOver", client: C, wish: { handoff, acceptor, mode, drain: false, decidedAt: 0 } });
    this.network.runUntil(() => contact.answers.has(handoff), 30_000);
    this.#mustBeDone(contact, handoff);
    // Not more than three updates a second.
    this.run(2_000);
  }

  prepare(): void {
    const contact = this.roles.get("K") as MemberRole;
    contact.ask({ kind: "prepare", client: C, request: "prepare" });
    this.run(1_000);
    this.#mustBeDone(contact, "prepare");
  }

  #mustBeDone(contact: MemberRole, request: string): void {
    const answer = contact.answers.get(request);
    if (answer !== "done") throw new Error(`${request}: ${JSON.stringify(answer)}\n${this.network.story()}`);
  }

  at(handoff: string, step: string): number {
    const found = this.network.happenings.find((h): h is Step => h.what === "event" && h.event.type === "handoffStep" && h.event.handoff === handoff && h.event.step === step);
    if (!found) throw new Error(`no step ${step} in handoff ${handoff}\n${this.network.story()}`);
    return found.at;
  }

  steps(handoff: string, names: readonly string[]): number[] {
    const times = names.map((name) => this.at(handoff, name));
    return times.slice(1).map((time, i) => time - (times[i] as number));
  }

  get server(): string[] {
    return [...this.roles].filter(([, role]) => role.sessions.has(C)).map(([name]) => name);
  }
}

const close = (values: readonly number[]) => values.map((v) => expect.closeTo(v, 6) as number);
const predicted = (mode: "full" | "prepared", latencies: Parameters<typeof predict>[1]) => predict(mode, latencies).steps.map((s) => s.predictedMs);

describe("a group on the virtual network", () => {
  it("hands over in mode full in exactly 2(L_KH + L_HC) + L_DA + 4 L_AC, step by step", () => {
    const world = new World("full");
    world.handOver("h", "A", "full");
    const budget = predicted("full", { KH: latency.KH, HC: latency.HC, DA: latency.KA, AC: latency.AC });
    expect(world.steps("h", ["homeTestInit", "homeTest", "stateReceived", "careOfTest", "bindingAcknowledgement"])).toEqual(close(budget));
    expect(world.at("h", "firstPacket") - world.at("h", "homeTestInit")).toBeCloseTo(2 * (3 + 29) + 7 + 4 * 41, 6);
  });

  it("hands over in mode prepared in exactly L_DA + 4 L_AC from the freeze", () => {
    const world = new World("prepared");
    world.prepare();
    world.handOver("h", "B", "prepared");
    const budget = predicted("prepared", { DA: latency.KB, AC: latency.BC });
    expect(world.steps("h", ["frozen", "stateReceived", "careOfTest", "bindingAcknowledgement"])).toEqual(close(budget));
    expect(world.at("h", "firstPacket") - world.at("h", "frozen")).toBeCloseTo(11 + 4 * 53, 6);
  });

  it("takes the hop to the donor on top when the donor is not the contact", () => {
    const world = new World("chain");
    world.handOver("h1", "A", "full");
    world.handOver("h2", "B", "full");
    const { totalMs } = predict("full", { KH: latency.KH, HC: latency.HC, KD: latency.KA, DA: latency.AB, AC: latency.BC });
    expect(world.at("h2", "firstPacket") - world.at("h2", "homeTestInit")).toBeCloseTo(totalMs, 6);
    world.handOver("h3", "K", "prepared");
    expect(world.at("h3", "firstPacket") - world.at("h3", "frozen")).toBeCloseTo(predict("prepared", { DA: latency.KB, AC: latency.KC }).totalMs, 6);
  });

  it("loses nothing, doubles nothing and lets one member at a time serve, while the client talks through six handoffs", () => {
    const world = new World("talk");
    world.talk(15_000);
    for (const [i, acceptor] of ["A", "B", "K", "B", "A", "K"].entries()) {
      world.handOver(`h${i}`, acceptor, i % 2 === 0 ? "full" : "prepared");
      expect(world.server).toEqual([acceptor]);
    }
    world.run(20_000);
    expect(world.server).toEqual(["K"]);
    const heard = world.roles.get("K")?.sessions.get(C) as number[];
    expect(heard.toSorted((a, b) => a - b)).toEqual(Array.from({ length: world.sent }, (_, i) => i + 1));
  });

  it("gives a regression over random latencies just the coefficients of the budget", () => {
    const random = seededRandom("latencies");
    const measured = (mode: "full" | "prepared", start: string) =>
      Array.from({ length: 12 }, (_, i) => {
        const paths = { ...latency, KH: random.below(60), HC: random.below(60), KA: random.below(60), AC: random.below(60) };
        const world = new World(`${mode} ${i}`, paths);
        if (mode === "prepared") world.prepare();
        world.handOver("h", "A", mode);
        return { terms: { KH: paths.KH, HC: paths.HC, DA: paths.KA, AC: paths.AC }, y: world.at("h", "firstPacket") - world.at("h", start) };
      });
    for (const [mode, start] of [["full", "homeTestInit"], ["prepared", "frozen"]] as const) {
      const { KH, HC, DA, AC } = coefficients(mode) as Record<string, number>;
      const fit = leastSquares(measured(mode, start));
      expect(fit.intercept).toBeCloseTo(0, 6);
      expect(Object.values(fit.coefficients)).toEqual(close([KH, HC, DA, AC] as number[]));
      expect(fit.r2).toBeCloseTo(1, 9);
    }
  });

  it("repeats itself for one seed", () => {
    const story = () => {
      const world = new World("again");
      world.handOver("h", "A", "full");
      return world.network.story();
    };
    expect(story()).toBe(story());
  });
});
