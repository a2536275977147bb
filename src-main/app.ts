import { release } from "node:os";
import { resolve } from "node:path";
import type { AppBackend, AppHandlers, AppWindow } from "../src-shared/api/app.ts";
import { appProtocolVersion } from "../src-shared/api/app/calls.ts";
import { AppError } from "../src-shared/api/app/error.ts";
import type { Problem } from "./problem.ts";
import { asProblem } from "./problem.ts";
import { CaptureService } from "./services/app/captures.ts";
import { OwnFleet } from "./services/app/fleet.ts";
import { HostService } from "./services/app/hosts.ts";
import { Labs } from "./services/app/labs.ts";
import { PreferenceFile } from "./services/app/preferences.ts";
import { Questions } from "./services/app/questions.ts";
import { Runs } from "./services/app/runs.ts";
import { Scenarios } from "./services/app/scenarios.ts";
import { type Emit, LabStore } from "./services/app/store.ts";
import { Tasks } from "./services/app/tasks.ts";
import { Terminals } from "./services/app/terminals.ts";
import { versions } from "./services/experiment.ts";

export interface AppOptions {
  /** The folder of runs; `runs` of the working directory unless set, as on the command line. */
  readonly runs?: string;
  /** Another ssh_config than the user's for own hosts (ssh -F). */
  readonly sshConfig?: string;
}

/** The manager behind every window: labs, hosts, runs and terminals go on whether a window looks or not. */
export class App implements AppBackend {
  readonly handlers: AppHandlers;
  readonly #windows = new Set<AppWindow>();
  readonly #emit: Emit = (name, payload) => {
    for (const window of this.#windows) window.emit(name, payload);
  };
  readonly #store = new LabStore(this.#emit);
  readonly #tasks = new Tasks(this.#emit);
  readonly #questions = new Questions(this.#emit);
  readonly #preferences = new PreferenceFile(this.#emit);
  readonly #labs: Labs;
  readonly #hosts: HostService;
  readonly #fleet: OwnFleet;
  readonly #runs: Runs;
  readonly #captures: CaptureService;
  readonly #terminals: Terminals;

  constructor(options: AppOptions = {}) {
    const sshConfig = options.sshConfig === undefined ? {} : { sshConfig: options.sshConfig };
    this.#labs = new Labs({ store: this.#store, tasks: this.#tasks, emit: this.#emit, watched: () => this.#windows.size > 0, askAbout: (host) => this.#questions.about(host, "sudo") });
    this.#fleet = new OwnFleet({ labs: this.#labs, store: this.#store, askAbout: (host, kind) => this.#questions.about(host, kind), ...sshConfig });
    this.#hosts = new HostService({ labs: this.#labs, store: this.#store, tasks: this.#tasks, fleet: this.#fleet, emit: this.#emit, ...sshConfig });
    this.#runs = new Runs(this.#labs, this.#emit, resolve(options.runs ?? "runs"));
    this.#captures = new CaptureService(this.#labs, this.#store);
    this.#terminals = new Terminals(this.#labs, this.#store);
    this.handlers = {
      ...this.#own(),
      ...this.#tasks.handlers,
      ...this.#questions.handlers,
      ...this.#preferences.handlers,
      ...this.#labs.handlers,
      ...this.#hosts.handlers,
      ...this.#captures.handlers,
      ...new Scenarios().handlers,
      ...this.#runs.handlers,
      ...this.#terminals.handlers,
    };
    this.#labs.start();
  }

  connect(window: AppWindow): void {
    this.#windows.add(window);
    window.gone.addEventListener("abort", () => this.#windows.delete(window), { once: true });
  }

  /** Ends a run that goes on (its report is written), captures and terminals. Labs and agents stay up. */
  async close(): Promise<void> {
    this.#questions.close();
    await this.#runs.stopAll();
    await this.#captures.close();
    this.#terminals.close();
    this.#hosts.close();
    this.#tasks.close();
    await this.#labs.close();
    for (const window of this.#windows) this.#windows.delete(window);
  }

  #own() {
    return {
      "app.hello": async ({ protocol }, window) => {
        if (protocol !== appProtocolVersion) throw new AppError("other-version", `this window speaks version ${protocol}, the manager ${appProtocolVersion}`, { remedy: "Reload the window." });
        const [known, preferences] = await Promise.all([versions(), this.#preferences.current(), this.#labs.looked(), this.#fleet.ready()]);
        const reason = process.platform === "linux" ? null : "local labs need Linux";
        return { protocol: appProtocolVersion, version: known["anycast-lab"] ?? "", shell: window.shell, platform: `${process.platform} ${release()}`, localLabs: { ok: reason === null, reason }, preferences, openLab: this.#labs.shown };
      },
      "app.stopAll": () => ({ task: this.#stopAll() }),
    } satisfies Partial<AppHandlers>;
  }

  /** Stops runs and captures, takes back every change of links. What fails does not keep the rest from it. */
  #stopAll(): string {
    return this.#tasks.start("stopAll", "Stop and restore all", [], async (hand) => {
      const problems: Problem[] = [];
      const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
        try {
          await work();
          hand.say(what);
        } catch (error) {
          problems.push(asProblem(error));
          hand.say(`${what}: ${asProblem(error).message}`, "error");
        }
      };
      for (const title of await this.#runs.stopAll()) hand.say(`stopped the run ${title}`);
      for (const open of this.#labs.all()) {
        const { name, faults } = this.#store.get(open.id);
        for (const capture of this.#captures.running(open.id)) await attempt(`${name}: capture stopped`, () => this.#captures.stop(open.id, capture));
        if (faults.length > 0) await attempt(`${name}: ${faults.length} ${faults.length === 1 ? "link" : "links"} restored`, () => open.testbed.linkReset().then(() => open.refreshLinks()));
      }
      if (problems[0]) throw problems[0];
      hand.progress(1, "nothing of ours is changed any more");
    });
  }
}
