import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fleetFile } from "../../../src-shared/api/fleet.ts";
import type { Host, SshConfigHost } from "../../../src-shared/api/app/host.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { asProblem } from "../../problem.ts";
import { resolveHost } from "../../ssh/config.ts";
import type { AskSecret } from "../../ssh/target.ts";
import { type Fleet, openFleet } from "../../testbeds/fleet/fleet.ts";
import type { HostHandle } from "../../testbeds/testbed.ts";
import { newHost, type OwnHost, readOwnHosts, writeOwnHosts } from "./fleet-file.ts";
import { type Labs, shownHost } from "./labs.ts";
import { emptyLab, type LabStore } from "./store.ts";

export const fleetId = "fleet-mine";
/** Names the deployment on the hosts. */
const fleetName = "fleet";
const site = "own";

export interface OwnFleetOptions {
  readonly labs: Labs;
  readonly store: LabStore;
  readonly askAbout: (host: string, kind: "password" | "passphrase") => AskSecret;
  /** Another ssh_config than the user's. */
  readonly sshConfig?: string;
}

/** A person's own hosts: kept in a file, resolved as the user's ssh would, reached when somebody asks. */
export class OwnFleet {
  readonly #options: OwnFleetOptions;
  #hosts: OwnHost[] = [];
  readonly #ready: Promise<void>;
  /** Changes of the list happen one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: OwnFleetOptions) {
    this.#options = options;
    options.store.put({ ...emptyLab({ id: fleetId, name: "My hosts", kind: "fleet", phase: "up", shipped: false }), sites: [{ id: site, name: "My hosts" }] });
    this.#ready = this.#load();
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  /** Adds hosts; all or none. Connects to nothing. */
  add(wanted: readonly { readonly target: string; readonly name: string | null }[]): Promise<string[]> {
    return this.#next(async () => {
      const fresh: OwnHost[] = [];
      for (const { target, name } of wanted) fresh.push(newHost(target, name, [...this.#hosts, ...fresh].map((host) => host.id)));
      await writeOwnHosts([...this.#hosts, ...fresh]);
      for (const host of fresh) await this.#show(host);
      return fresh.map((host) => host.id);
    });
  }

  remove(ids: readonly string[]): Promise<void> {
    return this.#next(async () => {
      const { labs, store } = this.#options;
      const hosts = ids.map((id) => store.item(fleetId, "hosts", id));
      const busy = hosts.find((host) => host.agent.is === "up");
      if (busy) throw new AppError("host-in-use", `${busy.name} still runs our agent`, { remedy: "Undo its deploy first.", host: busy.name });
      const left = this.#hosts.filter((host) => !ids.includes(host.id));
      await writeOwnHosts(left);
      this.#hosts = left;
      for (const id of ids) await labs.find(fleetId)?.remove(id);
      store.change(fleetId, { gone: [...ids] });
    });
  }

  async #load(): Promise<void> {
    const { labs } = this.#options;
    const fleet = await openFleet(fleetFile.parse({ name: fleetName, hosts: {} }));
    labs.hold(fleetId, new OwnTestbed(fleet, () => labs.find(fleetId)?.hosts().map((link) => link.handle) ?? []));
    this.#options.store.change(fleetId, { sites: [{ id: site, name: "My hosts" }] });
    for (const host of await readOwnHosts()) await this.#show(host);
  }

  async #show(host: OwnHost): Promise<void> {
    const { labs, store } = this.#options;
    this.#hosts = [...this.#hosts, host];
    const shown = (handle: HostHandle | null, failure: string | null): Host => ({
      ...(handle ? shownHost(handle) : unresolved(host)),
      name: host.name,
      target: host.target,
      own: true,
      ...(failure !== null && { ssh: { state: "failed" as const, detail: failure } }),
    });
    try {
      const handle = await this.#resolve(host);
      labs.get(fleetId).add(handle);
      store.change(fleetId, { hosts: [shown(handle, null)] });
    } catch (error) {
      store.change(fleetId, { hosts: [shown(null, asProblem(error).message)] });
    }
  }

  async #resolve({ id, target }: OwnHost): Promise<HostHandle> {
    const file = fleetFile.parse({ name: fleetName, hosts: { [id]: { ssh: target, site } } });
    const { askAbout, sshConfig } = this.#options;
    const fleet = await openFleet(file, { passphrase: askAbout(id, "passphrase"), password: askAbout(id, "password"), ...(sshConfig && { configFile: sshConfig }) });
    return fleet.hosts()[0] as HostHandle;
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => this.#ready).then(work);
    this.#queue = result.catch(() => {});
    return result;
  }
}

function unresolved({ id, name, target }: OwnHost): Host {
  return { id, name, target, site, address: null, roles: [], ssh: { state: "unknown", detail: null }, key: { is: "none" }, preflight: { state: "none", at: null, lines: [] }, agent: { is: "none", version: null, dataPlane: null, detail: null }, clock: null, load: null, own: true, clients: 0 };
}

/** A fleet whose hosts come and go. */
class OwnTestbed {
  readonly kind = "fleet";
  readonly name: string;
  readonly home = undefined;
  readonly #fleet: Fleet;
  readonly #hosts: () => readonly HostHandle[];

  constructor(fleet: Fleet, hosts: () => readonly HostHandle[]) {
    this.name = fleet.name;
    this.#fleet = fleet;
    this.#hosts = hosts;
  }

  hosts(): readonly HostHandle[] {
    return this.#hosts();
  }
  connect(host: string) {
    return this.#fleet.connect(host);
  }
  status() {
    return this.#fleet.status();
  }
  linkSet() {
    return this.#fleet.linkSet();
  }
  linkReset() {
    return this.#fleet.linkReset();
  }
  stopHost(host: string) {
    return this.#fleet.stopHost(host);
  }
  startHost(host: string) {
    return this.#fleet.startHost(host);
  }
  async down(): Promise<void> {}
}

/** The hosts that ~/.ssh/config names, patterns left out, each as ssh itself resolves it. */
export async function sshConfigHosts(configFile?: string): Promise<{ file: string; hosts: SshConfigHost[]; problem: string | null }> {
  const file = configFile ?? join(homedir(), ".ssh/config");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return { file, hosts: [], problem: code === "ENOENT" ? null : `${file} cannot be read (${code})` };
  }
  const aliases = [...new Set([...text.matchAll(/^[ \t]*Host[ \t=]+(.+)$/gim)].flatMap((match) => (match[1] as string).trim().split(/\s+/)).filter((alias) => !/[*?!]/.test(alias)))].slice(0, 200);
  const hosts = await Promise.all(aliases.map((alias) => sshConfigHost(alias, configFile)));
  const included = /^[ \t]*Include\b/im.test(text);
  return { file, hosts, problem: included ? "Hosts of included files are not listed; they can be typed all the same." : null };
}

async function sshConfigHost(alias: string, configFile: string | undefined): Promise<SshConfigHost> {
  try {
    const { user, hostname, port, jump } = await resolveHost({ name: alias, destination: alias }, configFile ? { configFile } : {});
    return { alias, target: `${user}@${hostname.includes(":") ? `[${hostname}]` : hostname}${port === 22 ? "" : `:${port}`}`, via: jump?.hostname ?? null, unsupported: null };
  } catch (error) {
    return { alias, target: alias, via: null, unsupported: asProblem(error, alias).message };
  }
}
