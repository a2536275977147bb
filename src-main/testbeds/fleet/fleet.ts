import type { Duplex } from "node:stream";
import type { FleetFile, FleetHost } from "../../../src-shared/api/fleet.ts";
import { asProblem, exitCodes, Problem } from "../../problem.ts";
import { parseDestination, resolveHost, type ResolveOptions } from "../../ssh/config.ts";
import { SshConnection } from "../../ssh/connection.ts";
import { dial } from "../../ssh/dial.ts";
import type { SshTarget } from "../../ssh/target.ts";
import type { HostHandle, Testbed, TestbedStatus } from "../testbed.ts";

/** Resolves every host of a fleet file as the user's own ssh would. Connects to nothing yet. Throws SshError where a host's configuration does not work. */
export async function openFleet(file: FleetFile, options: ResolveOptions = {}): Promise<Fleet> {
  const hosts = await Promise.all(Object.entries(file.hosts).map(([name, host]) => handleOf(name, host, file.defaults, { ...options, ...(file.sshConfig && { configFile: file.sshConfig }) })));
  return new Fleet(file, hosts);
}

async function handleOf(name: string, host: FleetHost, defaults: FleetFile["defaults"], options: ResolveOptions): Promise<HostHandle> {
  const { user, hostname, port } = destination(name, host.ssh ?? name);
  const login = { ...defaults, ...Object.fromEntries(Object.entries(host).filter(([, value]) => value !== undefined)) } as FleetFile["defaults"];
  const chosen = { user: user ?? login.user, port: port ?? login.port };
  const ssh = await resolveHost(
    { name, destination: hostname, ...(chosen.user && { user: chosen.user }), ...(chosen.port && { port: chosen.port }), ...(login.identityFile && { identityFile: login.identityFile }), ...(login.knownHosts && { knownHosts: login.knownHosts }) },
    options,
  );
  return { name, site: host.site, roles: host.roles, address: host.address, interface: host.interface, ssh, sudo: { kind: login.sudo ?? "ask" } };
}

function destination(name: string, text: string): ReturnType<typeof parseDestination> {
  try {
    return parseDestination(text);
  } catch (error) {
    throw new Problem({ code: "fleet.invalid", host: name, what: (error as Error).message, remedy: "Correct `ssh` of that host in the fleet file.", exitCode: exitCodes.usage, cause: error });
  }
}

/** Hosts that were there before and stay there. Their links and their power are not ours. */
export class Fleet implements Testbed {
  readonly kind = "fleet";
  readonly name: string;
  readonly home: Testbed["home"];
  readonly #hosts: readonly HostHandle[];

  constructor(file: FleetFile, hosts: readonly HostHandle[]) {
    this.name = file.name;
    this.home = file.home;
    this.#hosts = hosts;
  }

  hosts(): readonly HostHandle[] {
    return this.#hosts;
  }

  async connect(host: string): Promise<Duplex> {
    const { ssh } = this.#host(host);
    if (ssh.stream) return ssh.stream();
    if (ssh.jump) return this.#throughJump(ssh, ssh.jump);
    return dial(host, ssh.hostname, ssh.port, 15_000);
  }

  async status(): Promise<TestbedStatus> {
    const hosts = await Promise.all(this.#hosts.map((host) => this.#standing(host)));
    return { name: this.name, kind: this.kind, up: hosts.every((host) => host.up), since: undefined, hosts, links: [], traffic: [], emulator: undefined };
  }

  linkSet(): Promise<void> {
    return Promise.reject(linksFixed());
  }

  linkReset(): Promise<void> {
    return Promise.reject(linksFixed());
  }

  stopHost(host: string): Promise<void> {
    return Promise.reject(hostsFixed(host));
  }

  startHost(host: string): Promise<void> {
    return Promise.reject(hostsFixed(host));
  }

  async down(): Promise<void> {}

  async #standing({ name, ssh }: HostHandle): Promise<{ readonly name: string; readonly up: boolean; readonly detail: string }> {
    try {
      const connection = await SshConnection.connect(ssh, { timeoutMs: 10_000 });
      connection.close();
      return { name, up: true, detail: `${ssh.user}@${ssh.hostname}` };
    } catch (error) {
      return { name, up: false, detail: asProblem(error, name).message.replace(`${name}: `, "") };
    }
  }

  async #throughJump(ssh: SshTarget, jump: SshTarget): Promise<Duplex> {
    const connection = await SshConnection.connect(jump);
    const stream = await connection.forwardTcp(ssh.hostname, ssh.port);
    stream.once("close", () => connection.close());
    return stream;
  }

  #host(name: string): HostHandle {
    const host = this.#hosts.find((h) => h.name === name);
    if (!host) throw new Problem({ code: "lab.no-host", what: `there is no host "${name}"; hosts are ${this.#hosts.map((h) => h.name).join(", ")}`, remedy: "Use one of these names.", exitCode: exitCodes.usage });
    return host;
  }
}

function linksFixed(): Problem {
  return new Problem({ code: "testbed.linksFixed", what: "the links of a fleet are real: their delay and loss cannot be set", remedy: "Use a local lab to set links." });
}

function hostsFixed(host: string): Problem {
  return new Problem({ code: "testbed.hostsFixed", host, what: "it is a real host, which is not ours to stop or start", remedy: "Stop its agent instead." });
}
