import { readFileSync } from "node:fs";
import { attachTcx, loadClassifier, type BpfMap } from "../../linux/bpf.ts";
import { parseBpfObject } from "../../linux/bpfObject.ts";
import { libc } from "../../linux/libc.ts";
import type { Link } from "../../linux/links.ts";
import { addBpfFilter, addClsact, removeClsact, removeFilters, type Hook } from "../../linux/trafficControl.ts";
import { names } from "../names.ts";
import { inUse, type Steering } from "../steering.ts";

/** `tcx` (Linux 6.6+) ends with the process; `clsact` works everywhere and is noted for the next start to remove. */
export type AttachKind = "tcx" | "clsact";

/** The compiled programs, which lie beside this file (and beside the bundle, where the agent is bundled). */
const objectPath = new URL("./mobility.bpf.o", import.meta.url);

/** The loaded programs of mobility.bpf.c and where they are attached. */
export class Programs {
  readonly #links: number[] = [];
  readonly #loaded = new Map<string, number>();
  readonly #undo: (() => void)[] = [];

  /** Loads (the verifier checks them here). Throws a SystemCallError or what the verifier says, with nothing left open. */
  constructor(maps: ReadonlyMap<string, BpfMap>) {
    try {
      for (const program of parseBpfObject(readFileSync(objectPath))) this.#loaded.set(program.name, loadClassifier(program, maps));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Attaches them, or none; returns how. `wanted` makes no second choice. */
  attach(steering: Steering, wanted?: AttachKind): AttachKind {
    try {
      const kinds = [
        this.#attach(steering, steering.stackEnd, "egress", "outgoing", wanted),
        this.#attach(steering, steering.stackEnd, "ingress", "returned", wanted),
        this.#attach(steering, steering.device, "egress", "outgoing", wanted),
        this.#attach(steering, steering.device, "ingress", "incoming", wanted),
      ];
      return kinds.includes("clsact") ? "clsact" : "tcx";
    } catch (error) {
      this.detach();
      throw error;
    }
  }

  /** Before the steering goes, whose netlink socket it uses. */
  detach(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
    for (const fd of this.#links.splice(0)) libc.close(fd);
  }

  close(): void {
    for (const fd of this.#loaded.values()) libc.close(fd);
    this.#loaded.clear();
  }

  #attach(steering: Steering, link: Link, hook: Hook, name: string, wanted: AttachKind | undefined): AttachKind {
    const program = this.#loaded.get(name);
    if (program === undefined) throw new Error(`the eBPF object has no program ${name}`);
    if (wanted !== "clsact") {
      const fd = attachTcx(program, link.index, hook);
      if (fd !== undefined) {
        this.#links.push(fd);
        return "tcx";
      }
      if (wanted === "tcx") throw new Error("this kernel has no tcx (Linux 6.6 and newer)");
    }
    this.#attachClsact(steering, link, hook, name, program);
    return "clsact";
  }

  #attachClsact(steering: Steering, link: Link, hook: Hook, name: string, program: number): void {
    const { netlink } = steering;
    const noted = link.index === steering.device.index;
    if (noted) steering.note("filters");
    if (addClsact(netlink, link.index)) {
      if (noted) steering.note("clsact");
      this.#undo.push(() => {
        if (!inUse(netlink, link.index)) removeClsact(netlink, link.index);
      });
    }
    addBpfFilter(netlink, link.index, hook, names.filterPreference, program, `alab_${name}`);
    this.#undo.push(() => removeFilters(netlink, link.index, hook, names.filterPreference));
  }
}
