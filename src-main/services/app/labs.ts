import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Host } from "../../../src-shared/api/app/host.ts";
import type { LabState } from "../../../src-shared/api/app/lab.ts";
import type { LabPlan } from "../../../src-shared/api/labPlan.ts";
import { asProblem } from "../../problem.ts";
import type { AskSecret } from "../../ssh/target.ts";
import { findLabFile, readLab } from "../../testbeds/labFile.ts";
import { labDown, type LabListing, labUp, listLabs, openLab } from "../../testbeds/local/labs.ts";
import { labKind, type LocalLab } from "../../testbeds/local/localLab.ts";
import type { HostHandle, Testbed } from "../../testbeds/testbed.ts";
import type { DeployProgress } from "../hosts/deploy.ts";
import { settingsAsPlanned, settingsFor } from "./links.ts";
import { OpenLab } from "./open-lab.ts";
import { type Emit, emptyLab, type LabStore } from "./store.ts";
import type { TaskHand, Tasks } from "./tasks.ts";

const shippedLabs = resolve(import.meta.dirname, "../../../assets/labs");
/** Labs that somebody brings up or down elsewhere (the command line) are noticed within this time. */
const lookEveryMs = 4000;

export interface LabsOptions {
  readonly store: LabStore;
  readonly tasks: Tasks;
  readonly emit: Emit;
  readonly watched: () => boolean;
  readonly askAbout: (host: string) => AskSecret;
}

/** Local labs: those that ship with the app, and all that are up, whoever brought them up. Also holds every open lab, fleets included. */
export class Labs {
  readonly #options: LabsOptions;
  readonly #open = new Map<string, OpenLab>();
  /** Labs that a call is bringing up or down: what is seen of them meanwhile is not news. */
  readonly #changing = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #shown: string | null = null;
  #firstLook: Promise<void> | null = null;
  #shippedRead: Promise<void> | null = null;

  constructor(options: LabsOptions) {
    this.#options = options;
    for (const name of shippedNames()) options.store.put(emptyLab({ id: labId(name), name, kind: "local", phase: "down", shipped: true }));
  }

  readonly handlers = {
    "lab.list": async () => {
      await this.looked();
      return this.#options.store.list();
    },
    "lab.up": ({ lab }) => ({ task: this.#up(lab) }),
    "lab.down": ({ lab }) => ({ task: this.#down(lab) }),
    "lab.open": ({ lab }) => {
      const state = this.#options.store.get(lab);
      this.#shown = lab;
      return state;
    },
    "lab.state": ({ lab }) => this.#options.store.get(lab),
    "link.set": async ({ lab, link, there, back }) => {
      const { testbed } = this.local(lab);
      await testbed.linkSet(settingsFor(this.#options.store.item(lab, "links", link), there, back));
      await this.get(lab).refreshLinks();
      return {};
    },
    "link.restore": async ({ lab, link }) => {
      const { testbed } = this.local(lab);
      await testbed.linkSet(settingsAsPlanned(this.#options.store.item(lab, "links", link), (testbed as LocalLab).plan));
      await this.get(lab).refreshLinks();
      return {};
    },
    "handoff.list": ({ lab }) => this.#open.get(this.#options.store.get(lab).id)?.live.handoffs() ?? [],
    "handoff.get": ({ lab, handoff }) => this.get(lab).live.handoff(handoff),
    "handoff.start": ({ lab, group, client, acceptor, mode, drain }) => this.#handOver(lab, group, client, acceptor, mode, drain),
    "events.recent": ({ lab, limit }) => this.#open.get(this.#options.store.get(lab).id)?.live.recent(limit) ?? [],
  } satisfies Partial<AppHandlers>;

  /** The lab that windows show, for one that opens. */
  get shown(): string | null {
    return this.#shown;
  }

  /** Begins to look for labs that are up; a lab that outlived its manager is connected to again. */
  start(): void {
    if (process.platform !== "linux") return;
    this.#firstLook = this.#look();
    this.#timer = setInterval(() => void this.#look(), lookEveryMs);
    this.#timer.unref();
  }

  async looked(): Promise<void> {
    await Promise.all([this.#firstLook, (this.#shippedRead ??= this.#readShipped())]);
  }

  /** An open lab. Throws AppError `not-found` or `lab-down`. */
  get(id: string): OpenLab {
    const open = this.#open.get(id);
    if (open) return open;
    const { name } = this.#options.store.get(id);
    throw new AppError("lab-down", `the lab ${name} is not up`, { remedy: "Start it first." });
  }

  find(id: string): OpenLab | undefined {
    return this.#open.get(id);
  }

  all(): OpenLab[] {
    return [...this.#open.values()];
  }

  /** A lab of which links can be set. Throws AppError `unsupported` for real links. */
  local(id: string): OpenLab {
    const open = this.get(id);
    if (open.testbed.kind !== "fleet") return open;
    throw new AppError("unsupported", "the links of a fleet are real: their delay and loss cannot be set", { remedy: "Use a local lab to set links." });
  }

  /** Shows hosts of a testbed and holds them from now on. */
  hold(id: string, testbed: Testbed, own: (handle: HostHandle) => Host = shownHost): OpenLab {
    const { store, emit, watched, askAbout } = this.#options;
    const hosts = testbed.hosts().map(own);
    store.change(id, { sites: sitesOf(testbed), hosts });
    const open = new OpenLab({ id, testbed, store, emit, watched, askAbout });
    this.#open.set(id, open);
    return open;
  }

  /**
   * Brings a lab up under its plan's name with an agent on each host, and holds it. Rejects with a Problem; what came up stays up, to be looked at.
   * `attached`: the lab ends with this process, however that ends.
   */
  async bringUp(plan: LabPlan, hand: Pick<TaskHand, "say"> & { readonly progress: (share: number, what: string) => void }, { attached = false } = {}): Promise<OpenLab> {
    const { store } = this.#options;
    const id = labId(plan.name);
    const kind = labKind(plan);
    const known = store.has(id) ? store.get(id) : undefined;
    if (known?.kind !== kind) store.put(emptyLab({ id, name: plan.name, kind, phase: "starting", shipped: known?.shipped ?? false }));
    this.#changing.add(id);
    store.change(id, { phase: "starting", detail: null });
    try {
      const told = (what: string, share: number): void => {
        hand.say(what);
        hand.progress(share, what);
      };
      const testbed = await labUp(plan, { attached, progress: (what) => told(what, 0.2) });
      const open = this.hold(id, testbed);
      told("deploying agents", 0.5);
      await Promise.all([open.refreshLinks(), deployAll(open, hand)]);
      await open.lookNow();
      store.change(id, { phase: "up" });
      told(`${testbed.hosts().length} hosts up`, 1);
      return open;
    } catch (error) {
      store.change(id, { phase: this.#open.has(id) ? "up" : "failed", detail: asProblem(error).message });
      throw error;
    } finally {
      this.#changing.delete(id);
    }
  }

  /** Takes a local lab down and shows it so. */
  async takeDown(id: string): Promise<void> {
    const { store } = this.#options;
    const state = store.get(id);
    this.#changing.add(id);
    store.change(id, { phase: "stopping" });
    try {
      await this.#letGo(id);
      await labDown(state.name);
      this.#showDown(id);
    } catch (error) {
      store.change(id, { phase: "failed", detail: asProblem(error).message });
      throw error;
    } finally {
      this.#changing.delete(id);
    }
  }

  /** Lets go of all labs; they stay up. */
  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await Promise.all([...this.#open.keys()].map((id) => this.#letGo(id)));
  }

  #up(id: string): string {
    const state = this.#options.store.get(id);
    if (state.kind === "fleet") throw new AppError("unsupported", "a fleet's hosts are up by themselves", { remedy: "Connect to them, and deploy the agent." });
    if (state.phase === "starting" || state.phase === "stopping") throw new AppError("busy", `${state.name} is ${state.phase}`, { remedy: "Wait until it is done." });
    this.#shown = id;
    return this.#options.tasks.start("labUp", `Start ${state.name}`, [], async (hand) => {
      const open = this.#open.get(id);
      if (open) {
        await deployAll(open, hand);
        return;
      }
      await this.bringUp({ ...(await readLab(findLabFile(state.name, shippedLabs))), name: state.name }, hand);
    });
  }

  #down(id: string): string {
    const state = this.#options.store.get(id);
    if (state.kind === "fleet") throw new AppError("unsupported", "a fleet's hosts are not ours to stop", { remedy: "Undo the deploy to remove what we put there." });
    if (state.phase === "starting" || state.phase === "stopping") throw new AppError("busy", `${state.name} is ${state.phase}`, { remedy: "Wait until it is done." });
    return this.#options.tasks.start("labDown", `Stop ${state.name}`, [], async (hand) => {
      hand.say("stopping the hosts and removing their namespaces");
      await this.takeDown(id);
      hand.progress(1, "nothing of it is left");
    });
  }

  async #letGo(id: string): Promise<void> {
    const open = this.#open.get(id);
    this.#open.delete(id);
    await open?.close();
  }

  #showDown(id: string): void {
    const { store } = this.#options;
    const { name, shipped, kind } = store.get(id);
    if (shipped || this.#shown === id) store.put(emptyLab({ id, name, kind, phase: "down", shipped }));
    else store.remove(id);
  }

  /** Tells of the shipped labs whose hosts are in virtual machines; their files say so. */
  async #readShipped(): Promise<void> {
    const { store } = this.#options;
    for (const { id, name, shipped } of store.all()) {
      if (!shipped) continue;
      const kind = labKind(await readLab(findLabFile(name, shippedLabs)));
      const { phase, kind: shown } = store.get(id);
      if (phase === "down" && shown !== kind) store.put(emptyLab({ id, name, kind, phase, shipped }));
    }
  }

  async #look(): Promise<void> {
    const there = await listLabs().catch(() => []);
    for (const listing of there) await this.#found(listing).catch(() => {}); // it went down meanwhile
    for (const { id, name, kind, phase } of this.#options.store.all()) {
      if (kind === "fleet" || phase !== "up" || this.#changing.has(id) || there.some((lab) => lab.name === name && lab.state === "up")) continue;
      await this.#letGo(id);
      this.#showDown(id);
    }
  }

  /** A lab that is up and not held yet was brought up elsewhere, or before this manager. */
  async #found({ name, state }: LabListing): Promise<void> {
    const { store } = this.#options;
    const id = labId(name);
    if (state !== "up" || this.#open.has(id) || this.#changing.has(id)) return;
    this.#changing.add(id);
    try {
      const testbed = await openLab(name);
      if (!store.has(id)) store.put(emptyLab({ id, name, kind: testbed.kind, phase: "up", shipped: false }));
      const open = this.hold(id, testbed);
      store.change(id, { phase: "up", detail: null });
      this.#shown ??= id;
      void open.attachAll().catch(() => {});
    } finally {
      this.#changing.delete(id);
    }
  }

  #handOver(lab: string, groupId: string, clientId: string, acceptor: string, mode: "full" | "prepared", drain: boolean): { handoff: string } {
    const { store } = this.#options;
    const open = this.get(lab);
    const group = store.item(lab, "groups", groupId);
    const client = store.item(lab, "clients", clientId);
    if (!client.servedBy) throw new AppError("not-served", `${client.name} is not served by any member yet`, { remedy: "Wait until it talks to the group." });
    if (client.servedBy === acceptor) throw new AppError("already-there", `${client.name} is served by ${acceptor} already`, { remedy: "Choose another member." });
    const agent = open.agent(group.contact);
    const handoff = `w${Date.now().toString(36)}${(handoffs++).toString(36)}`;
    open.live.expect(handoff, { home: group.home, client: client.address, donor: client.servedBy, acceptor, mode });
    agent.client.call("handOver", { home: group.home, client: client.address, acceptor, mode, id: handoff, drain }, 60_000).catch((error: unknown) => open.live.refused(handoff, asProblem(error).message));
    return { handoff };
  }
}

let handoffs = 0;

export const labId = (name: string): string => `lab-${name}`;

function shippedNames(): string[] {
  return readdirSync(shippedLabs)
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .sort((a, b) => (a === "quickstart" ? -1 : b === "quickstart" ? 1 : a.localeCompare(b)));
}

/** Puts an agent on every host that has none; rejects with the first Problem when all have been tried. */
export async function deployAll(open: OpenLab, hand: Pick<TaskHand, "say">): Promise<void> {
  const results = await Promise.allSettled(
    open.hosts().map(async (link) => {
      if (!link.agent) await link.deploy({ onProgress: (progress) => sayPhase(hand, progress) });
    }),
  );
  const failed = results.flatMap((result) => (result.status === "rejected" ? [asProblem(result.reason)] : []));
  for (const problem of failed.slice(1)) hand.say(problem.message, "error");
  if (failed[0]) throw failed[0];
}

function sayPhase(hand: Pick<TaskHand, "say">, progress: DeployProgress): void {
  if (progress.phase === "ready") hand.say("agent is up", "info", progress.host);
}

function sitesOf(testbed: Testbed): LabState["sites"] {
  return [...new Set(testbed.hosts().map((host) => host.site))].map((name) => ({ id: name, name }));
}

/** A host before anything is known of it but its description. */
export function shownHost(handle: HostHandle): Host {
  const { user, hostname, port } = handle.ssh;
  return {
    id: handle.name,
    name: handle.name,
    site: handle.site,
    address: handle.address ?? null,
    target: port === 22 ? `${user}@${hostname}` : `${user}@${hostname}:${port}`,
    roles: [...handle.roles],
    ssh: { state: "unknown", detail: null },
    key: { is: "none" },
    preflight: { state: "none", at: null, lines: [] },
    agent: { is: "none", version: null, dataPlane: null, detail: null },
    clock: null,
    load: null,
    own: false,
    clients: 0,
  };
}
