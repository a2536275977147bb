import { expect, it } from "vitest";
import { parseAddress } from "../src-shared/net/address.ts";
import type { DataPlane } from "./ports.ts";
import { forgivingPlane } from "./forgivingPlane.ts";

const X = parseAddress("2001:db8:f::1");
const C = parseAddress("2001:db8:c::1");

/** A plane with private state, of which everything that takes room fails. */
class FullPlane {
  readonly kind = "ebpf";
  readonly #calls: string[] = [];
  serve(home: string, client: string): void {
    this.#calls.push(`serve ${home} ${client}`);
    throw Object.assign(new Error("bpf(BPF_MAP_UPDATE_ELEM, clients): E2BIG"), { code: "E2BIG" });
  }
  unserve(home: string, client: string): void {
    this.#calls.push(`unserve ${home} ${client}`);
  }
  addHome(): void {
    throw new Error("no such device");
  }
  get calls(): readonly string[] {
    return this.#calls;
  }
}

it("tells what had no room for one client, and goes on; what concerns a home address still throws", () => {
  const full = new FullPlane();
  const refused: string[] = [];
  const plane = forgivingPlane(full as unknown as DataPlane, (call, error) => refused.push(`${call} ${(error as { code: string }).code}`));
  expect(plane.kind).toBe("ebpf");
  plane.serve(X, C);
  plane.unserve(X, C);
  expect(full.calls).toEqual([`serve ${X} ${C}`, `unserve ${X} ${C}`]);
  expect(refused).toEqual(["serve E2BIG"]);
  expect(() => plane.addHome(X, { careOf: C, homeAgent: C, via: C })).toThrow("no such device");
});
