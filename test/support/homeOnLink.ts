import { expect } from "vitest";
import { until } from "./agentWorld.ts";
import { ask, echo, ethernetOf, eventsOf, homeOf, neighbourX, onLink, start, watchNeighborDiscovery, world, type Seen } from "./homeWorld.ts";

/** The life of a home address on the link: looked for, defended, reached, given back. What h's network shows when it is given back, and when it is retired. */
export async function liveOnLink(dataPlane: "ebpf" | "userspace"): Promise<{ readonly given: string; readonly retired: string }> {
  await start(dataPlane, onLink, ["h", "k", "c"], ["s"]);
  const seen = await watchNeighborDiscovery();
  await world.formGroup(["k"], [], [...echo]);
  expect(await homeOf()).toMatchObject({ phase: "registered", homeLink: "onLink", defence: "defending" });

  // One solicitation of duplicate address detection, a second of silence, then three advertisements to all.
  await until(() => seen().length >= 4, "three advertisements", () => JSON.stringify(seen()));
  const [first, ...announcements] = seen();
  const mac = ethernetOf("h");
  expect(first).toMatchObject({ from: "::", to: "ff02::1:ff7a:b", hopLimit: "255", type: "135", linkLayer: "", nonce: expect.stringMatching(/^[0-9a-f]{12}$/), complaint: "" });
  for (const each of announcements) expect(each).toMatchObject({ from: "2001:db8:1::1", to: "ff02::1", hopLimit: "255", type: "136", flags: "O", linkLayer: mac, complaint: "" });
  expect((announcements[0]?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(0.999);

  // A stock neighbour asks the link for X, and everybody gets through, from the link and from elsewhere.
  expect(ask("s")).toBe("hello");
  expect(neighbourX("s")).toContain(mac);
  expect(ask("c")).toBe("hello");
  const answer = (): Seen | undefined => seen().find(({ to }) => to === world.host("s").address);
  await until(() => answer() !== undefined, "the answer to the neighbour", () => JSON.stringify(seen()));
  expect(answer()).toMatchObject({ from: "2001:db8:1::1", hopLimit: "255", type: "136", flags: "S", linkLayer: mac, complaint: "" });
  const { dataPlane: moved } = (await world.call("h", "counters", {})) as { dataPlane: { tunnelledOut: { packets: number }; tunnelledIn: { packets: number } } };
  expect(moved.tunnelledOut.packets).toBeGreaterThan(8);
  expect(moved.tunnelledIn.packets).toBeGreaterThan(6);

  // A stock kernel that wants the address is told that it is taken.
  const wants = (): string => world.exec("s", "ip", "-6", "addr", "show", "dev", "eth0", "to", world.homeAddress);
  world.exec("s", "ip", "addr", "add", `${world.homeAddress}/64`, "dev", "eth0");
  await until(() => wants().includes("dadfailed"), "the kernel's own duplicate address detection", wants);
  world.exec("s", "ip", "addr", "del", `${world.homeAddress}/64`, "dev", "eth0");

  // Given back: nobody answers, and the address is free.
  await world.call("k", "leave", { group: "g" });
  await until(() => eventsOf("h", "bindingRemoved").length > 0, "the deregistration", () => world.describe());
  expect(await homeOf()).toMatchObject({ phase: "unregistered", defence: "idle" });
  world.exec("s", "ip", "-6", "neigh", "flush", "to", world.homeAddress);
  expect(() => ask("s")).toThrow();
  world.exec("s", "ip", "addr", "add", `${world.homeAddress}/64`, "dev", "eth0");
  await until(() => !/tentative|dadfailed/.test(wants()), "the address to be free", wants);
  const given = world.traces("h");
  await world.call("h", "retireHome", { homeAddress: world.homeAddress });
  return { given, retired: world.traces("h") };
}
