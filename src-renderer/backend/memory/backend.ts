import type { AppBackend, AppHandlers, AppWindow } from "../../../src-shared/api/app.ts";
import { appCallNames, appProtocolVersion } from "../../../src-shared/api/app/calls.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { defaultPreferences, type Preferences } from "../../../src-shared/api/app/preferences.ts";
import type { Question } from "../../../src-shared/api/app/work.ts";
import { emptyFleet, fleetHandlers, ownHost } from "./fleet.ts";
import { LiveLab } from "./live.ts";
import { hostileText } from "./hostile.ts";
import { type MemoryOptions, quietLab } from "./options.ts";
import { Runs } from "./runs.ts";
import { type Emit, LabStore } from "./store.ts";
import { Tasks } from "./tasks.ts";
import { Terminals } from "./terminals.ts";
import { buildLab, fleetLab, localLab } from "./world.ts";

/** A manager without a network: the same contract, a simulated lab behind it. */
export class MemoryBackend implements AppBackend {
  readonly handlers: AppHandlers;
  readonly #windows = new Set<AppWindow>();
  readonly #options: MemoryOptions;
  readonly #store: LabStore;
  readonly #tasks: Tasks;
  readonly #runs: Runs;
  readonly #live: LiveLab;
  readonly #terminals: Terminals;
  #preferences: Preferences;
  #open: string | null = null;
  #questions: Question[] = [];

  constructor(options: MemoryOptions = quietLab) {
    this.#options = options;
    const emit: Emit = (name, payload) => {
      for (const window of this.#windows) window.emit(name, payload);
    };
    this.#store = new LabStore(emit);
    this.#tasks = new Tasks(emit, options.speed);
    this.#live = new LiveLab(this.#store, emit, options);
    this.#terminals = new Terminals(options.hostile ? hostileText(7) + hostileText(0) : "Welcome to the simulated lab. Type help.");
    this.#runs = new Runs(emit, options, () => this.#bringUp());
    this.#preferences = { ...defaultPreferences, tourSeen: options.scene !== "empty" };
    this.#setTheScene();
    const handlers: AppHandlers = { ...this.#appHandlers(emit), ...this.#labHandlers(), ...fleetHandlers(this.#store, this.#tasks, options), ...this.#runs.handlers(), ...this.#terminalHandlers() };
    this.handlers = options.scene === "refusing" ? refusing(handlers) : handlers;
  }

  connect(window: AppWindow): void {
    this.#windows.add(window);
    window.gone.addEventListener("abort", () => this.#windows.delete(window), { once: true });
  }

  async close(): Promise<void> {
    this.#live.stop();
    this.#tasks.close();
    this.#runs.stopAll();
    this.#terminals.closeAll();
  }

  #setTheScene(): void {
    const { scene } = this.#options;
    this.#store.put(emptyFleet());
    if (scene === "ready" || scene === "refusing") this.#bringUp();
    if (scene === "empty") this.#store.put({ ...downLab(this.#options) });
    if (scene === "ready") this.#live.past(localLab, 12);
    if (scene === "broken") {
      this.#store.put({ ...downLab(this.#options), phase: "failed", detail: "could not start sshd for host nyc: port 22 of its namespace is taken" });
      this.#store.change(fleetLab, { hosts: brokenHosts() });
      this.#open = fleetLab;
    }
  }

  /** A run brings its lab up where none is. */
  #bringUp(): string {
    const there = this.#store.list().some((lab) => lab.id === localLab && lab.phase === "up");
    if (!there) {
      this.#store.put(buildLab(this.#options));
      this.#live.start(localLab);
    }
    this.#open = localLab;
    return localLab;
  }

  #appHandlers(emit: Emit) {
    return {
      "app.hello": ({ protocol }, window) => {
        if (protocol !== appProtocolVersion) throw new AppError("other-version", `this window speaks version ${protocol}, the manager ${appProtocolVersion}`, { remedy: "Reload the window." });
        return { protocol: appProtocolVersion, version: "0.1.0", shell: window.shell, platform: "linux", localLabs: { ok: true, reason: null }, preferences: this.#preferences, openLab: this.#open };
      },
      "preferences.set": ({ change }) => {
        this.#preferences = { ...this.#preferences, ...change };
        emit("preferences.changed", this.#preferences);
        return this.#preferences;
      },
      "app.stopAll": () => ({ task: this.#stopAll() }),
      "task.list": () => this.#tasks.list(),
      "task.log": ({ task, after }) => this.#tasks.log(task, after),
      "task.cancel": ({ task }) => {
        this.#tasks.cancel(task);
        return {};
      },
      "question.list": () => this.#questions,
      "question.answer": ({ question }) => {
        this.#questions = this.#questions.filter((each) => each.id !== question);
        emit("question.settled", { question });
        return {};
      },
    } satisfies Partial<AppHandlers>;
  }

  #stopAll(): string {
    return this.#tasks.start("stopAll", "Stop and restore all", [], async (hand) => {
      for (const title of this.#runs.stopAll()) hand.say(`stopped the run ${title}`);
      for (const { id } of this.#store.list()) {
        const lab = this.#store.get(id);
        const captures = lab.captures.filter((c) => c.state === "running").map((c) => ({ ...c, state: "stopped" as const }));
        const links = lab.links.filter((link) => link.changed).map((link) => this.#originalLink(link.id));
        if (captures.length + links.length + lab.faults.length === 0) continue;
        hand.say(`${lab.name}: ${links.length} links restored, ${captures.length} captures stopped`);
        this.#store.change(id, { captures, links, gone: lab.faults.map((fault) => fault.id) });
        await hand.pause(200);
      }
      hand.progress(1, "nothing of ours is changed any more");
    }, false);
  }

  #originalLink(id: string) {
    const link = buildLab(this.#options).links.find((each) => each.id === id);
    if (!link) throw new AppError("not-found", `there is no link "${id}"`);
    return link;
  }

  #labHandlers() {
    let next = 1;
    return {
      "lab.list": () => this.#store.list(),
      "lab.up": ({ lab }) => ({ task: this.#labUp(lab) }),
      "lab.down": ({ lab }) => ({ task: this.#labDown(lab) }),
      "lab.open": ({ lab }) => {
        const state = this.#store.get(lab);
        this.#open = lab;
        return state;
      },
      "lab.state": ({ lab }) => this.#store.get(lab),
      "link.set": ({ lab, link, there, back }) => {
        const before = this.#store.item(lab, "links", link);
        this.#store.change(lab, { links: [{ ...before, there, back, changed: true }], faults: [{ id: `fault-${link}`, label: `${before.a} – ${before.b}: ${there.delayMs} ms, ${there.lossPercent} % loss`, since: Date.now(), expiresAt: null }] });
        return {};
      },
      "link.restore": ({ lab, link }) => {
        this.#store.change(lab, { links: [this.#originalLink(link)], gone: [`fault-${link}`] });
        return {};
      },
      "handoff.start": ({ lab, client, acceptor, mode }) => ({ handoff: this.#live.handOver(lab, this.#store.item(lab, "clients", client), acceptor, mode, Date.now()) }),
      "handoff.list": () => this.#live.list(),
      "handoff.get": ({ handoff }) => this.#live.get(handoff),
      "events.recent": ({ limit }) => this.#live.recent(limit),
      "capture.start": ({ lab, hosts }) => {
        const id = `capture-${next++}`;
        this.#store.change(lab, { captures: [{ id, hosts, file: `~/anycast-lab/captures/${id}.pcapng`, since: Date.now(), packets: 0, bytes: 0, state: "running", detail: null }] });
        return { capture: id };
      },
      "capture.stop": ({ lab, capture }) => {
        const before = this.#store.item(lab, "captures", capture);
        this.#store.change(lab, { captures: [{ ...before, state: "stopped", packets: 1280, bytes: 163_840 }] });
        return { file: before.file };
      },
      "capture.show": ({ lab, capture }) => ({ opened: false, detail: `There is no Wireshark here. The file is ${this.#store.item(lab, "captures", capture).file}` }),
    } satisfies Partial<AppHandlers>;
  }

  #labUp(id: string): string {
    if (this.#store.get(id).phase === "failed") this.#store.change(id, { phase: "starting", detail: null });
    this.#store.change(id, { phase: "starting" });
    return this.#tasks.start("labUp", `Start ${this.#store.get(id).name}`, [], async (hand) => {
      for (const [i, what] of ["making six network namespaces", "starting sshd in each", "setting link delays", "deploying agent 0.1.0", "forming group web", "clients connect"].entries()) {
        hand.say(what);
        hand.progress(i / 6, what);
        await hand.pause(450);
      }
      this.#bringUp();
      hand.progress(1, "up");
    });
  }

  #labDown(id: string): string {
    this.#store.change(id, { phase: "stopping" });
    return this.#tasks.start("labDown", `Stop ${this.#store.get(id).name}`, [], async (hand) => {
      this.#live.stop();
      await hand.pause(500);
      this.#store.put(downLab(this.#options));
    }, false);
  }

  #terminalHandlers() {
    return {
      "terminal.open": ({ lab, host, columns }, window) => this.#terminals.open(host, this.#store.item(lab, "hosts", host).name, columns, window),
      "terminal.list": () => this.#terminals.list(),
      "terminal.attach": ({ terminal, columns }, window) => this.#terminals.attach(terminal, columns, window),
      "terminal.write": ({ terminal, data }) => this.#terminals.write(terminal, data),
      "terminal.resize": ({ terminal, columns }) => this.#terminals.resize(terminal, columns),
      "terminal.consumed": ({ terminal, bytes }) => this.#terminals.consumed(terminal, bytes),
      "terminal.close": ({ terminal }) => this.#terminals.close(terminal),
    } satisfies Partial<AppHandlers>;
  }
}

function downLab(options: MemoryOptions) {
  return { ...buildLab(options), phase: "down" as const, sites: [], hosts: [], links: [], groups: [], clients: [] };
}

function brokenHosts() {
  const names = ["ams-unreachable", "nyc-changed", "tyo-full", "syd"];
  return names.map((name, i) => {
    const host = ownHost(`lab@${name}.example.net`, name, i);
    if (i === 0) return { ...host, ssh: { state: "failed" as const, detail: "no answer from port 22 within 10 s" } };
    if (i === 2) return { ...host, ssh: { state: "connected" as const, detail: null }, agent: { ...host.agent, is: "failed" as const, detail: "no space left on /var/tmp" } };
    return host;
  });
}

/** Every call but the first fails, as when the manager itself is in trouble. */
function refusing(handlers: AppHandlers): AppHandlers {
  const refuse = () => {
    throw new AppError("disk-full", "the manager cannot write to ~/.local/state/anycast-lab: no space left on device", { remedy: "Free some space and try again." });
  };
  return Object.fromEntries(appCallNames.map((name) => [name, name === "app.hello" || name === "lab.list" ? handlers[name] : refuse])) as unknown as AppHandlers;
}
