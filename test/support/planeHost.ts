/**
 * A data plane in a process of its own, for tests that put one into each network namespace.
 * usage: planeHost.ts KIND DEVICE ADDRESS [ATTACH]; ATTACH of kind kernel: what does its tunnels, ebpf or userspace; of kind
 * userspace: "thread" to use no nftables; then lines {id, call, args} on stdin, lines {id, value|error} or {event, args} on stdout.
 */
import { createInterface } from "node:readline";
import { EbpfDataPlane } from "../../src-agent/dataplane/ebpf/plane.ts";
import type { AttachKind } from "../../src-agent/dataplane/ebpf/programs.ts";
import { KernelDataPlane } from "../../src-agent/dataplane/kernel/plane.ts";
import { UserspaceDataPlane } from "../../src-agent/dataplane/userspace/plane.ts";
import { LinuxSignalling } from "../../src-agent/dataplane/signalling.ts";
import type { DataPlane } from "../../src-agent/ports.ts";
import { parseAddress } from "../../src-shared/net/address.ts";

const [kind, device, addressText, attach] = process.argv.slice(2) as [DataPlane["kind"], string, string, string | undefined];
const context = { device, address: parseAddress(addressText) };
const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const make = {
  kernel: () => new KernelDataPlane(context, (inner) => (attach === "userspace" ? new UserspaceDataPlane(inner) : new EbpfDataPlane(inner))),
  userspace: () => new UserspaceDataPlane(context, { inPlace: attach !== "thread" }),
  ebpf: () => new EbpfDataPlane(context, attach as AttachKind | undefined),
}[kind];
if (!make) throw new Error(`no data plane ${kind}`);
const plane: DataPlane = make();
const signalling = new LinuxSignalling(device);
plane.onUnbound((...args) => say({ event: "unbound", args }));
signalling.onPacket((packet, at) => say({ event: "packet", args: [Buffer.from(packet).toString("hex"), at] }));
signalling.onError((packet, at) => say({ event: "error", args: [Buffer.from(packet).toString("hex"), at] }));
signalling.onTunnelledSyn((...args) => say({ event: "syn", args }));
say({ event: "ready", args: [plane.kind] });

const calls: Readonly<Record<string, (...args: never[]) => unknown>> = {
  send: (hex: string) => signalling.send(Buffer.from(hex, "hex")),
  lost: () => signalling.lost(),
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, call, args } = JSON.parse(line) as { id: number; call: string; args: never[] };
    try {
      const own = calls[call];
      const value = own ? own(...args) : (plane as unknown as Record<string, (...args: never[]) => unknown>)[call]?.(...args);
      say({ id, value: value ?? null });
    } catch (error) {
      say({ id, error: (error as Error).message });
    }
  })
  .on("close", () => {
    signalling.close();
    plane.close();
    process.exit(0);
  });
