import { execFile } from "node:child_process";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { SshError } from "./errors.ts";
import { proxyCommand } from "./proxy-command.ts";
import { hostNames } from "./known-hosts.ts";
import type { AskSecret, SshTarget } from "./target.ts";

const execute = promisify(execFile);

/** How a person names a host: an alias of ~/.ssh/config or a host name, and what is to override the configuration. */
export interface HostReference {
  readonly name: string;
  readonly destination: string;
  readonly user?: string;
  readonly port?: number;
  readonly identityFile?: string;
  readonly knownHosts?: string;
}

export interface ResolveOptions {
  readonly passphrase?: AskSecret;
  readonly password?: AskSecret;
  /** Another ssh_config than the user's (ssh -F). */
  readonly configFile?: string;
}

/** Splits `user@host:port`, `user@[addr]:port`, `host` and bare IPv6 addresses (with zone) into their parts. Throws RangeError. */
export function parseDestination(text: string): { user?: string; hostname: string; port?: number } {
  const at = text.lastIndexOf("@");
  const user = at > 0 ? { user: text.slice(0, at) } : {};
  const rest = text.slice(at + 1);
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(rest) ?? [];
  const hostname = bracketed ?? plain ?? ((rest.match(/:/g)?.length ?? 0) > 1 && !/[[\]]/.test(rest) ? rest : undefined);
  const number = port === undefined ? undefined : Number(port);
  if (at === 0 || !hostname || hostname.startsWith("-") || /\s/.test(text) || (number !== undefined && (number < 1 || number > 65535))) {
    throw new RangeError(`"${text}" is not a host: expected host, user@host, user@host:port or user@[address]:port`);
  }
  return { ...user, hostname, ...(number !== undefined && { port: number }) };
}

/** What the user's OpenSSH would do to reach a host, as a target of ours: asked of `ssh -G`, so that Match, Include and aliases hold. */
export async function resolveHost(reference: HostReference, options: ResolveOptions = {}): Promise<SshTarget> {
  return resolve(reference, options, 0);
}

async function resolve(reference: HostReference, options: ResolveOptions, depth: number, via?: SshTarget): Promise<SshTarget> {
  const host = reference.name;
  if (depth > 8) throw new SshError({ code: "ssh.config", host, what: "more than 8 jumps (ProxyJump)", remedy: "Look for a loop of ProxyJump in ~/.ssh/config." });
  const config = await ask(reference, options);
  const one = (key: string) => config.get(key)?.[0];
  const set = (key: string) => (one(key) && one(key) !== "none" ? one(key) : undefined);
  const hostname = one("hostname") ?? reference.destination;
  const port = Number(one("port") ?? 22);
  const user = one("user") ?? userInfo().username;
  const expand = (path: string) => expandPath(path, { hostname, user });
  const files = reference.knownHosts ? [reference.knownHosts] : [...words(one("userknownhostsfile")), ...words(one("globalknownhostsfile"))];
  const agent = set("identityagent") ?? "SSH_AUTH_SOCK";
  const agentSocket = agent === "SSH_AUTH_SOCK" ? process.env["SSH_AUTH_SOCK"] : agent.startsWith("$") ? process.env[agent.slice(1)] : expand(agent);
  const proxy = set("proxycommand")?.replaceAll(/%[hprn%]/g, (token) => ({ "%h": hostname, "%p": String(port), "%r": user, "%n": reference.destination, "%%": "%" })[token] ?? token);
  const jump = via ?? (await resolveJumps(set("proxyjump"), host, options, depth));
  return {
    host,
    user,
    hostname,
    port,
    trust: { names: hostNames(hostname, port, set("hostkeyalias")), files: files.filter((f) => f !== "none").map(expand) },
    credentials: {
      ...(agentSocket && one("identityagent") !== "none" && one("identitiesonly") !== "yes" && { agentSocket }),
      keyFiles: (reference.identityFile ? [reference.identityFile] : (config.get("identityfile") ?? [])).map(expand),
      ...(options.passphrase && { passphrase: options.passphrase }),
      ...(options.password && { password: options.password }),
    },
    ...(jump && { jump }),
    ...(proxy && !jump && { stream: () => proxyCommand(host, proxy) }),
  };
}

/** `a,b` means: a first, b through a. Only the first hop follows its own ProxyJump, as in OpenSSH. */
async function resolveJumps(list: string | undefined, host: string, options: ResolveOptions, depth: number): Promise<SshTarget | undefined> {
  let via: SshTarget | undefined;
  for (const hop of list?.split(",") ?? []) {
    const { hostname, user, port } = destinationOf(hop.replace(/^ssh:\/\//, ""), host);
    via = await resolve({ name: `${host} (jump ${hop})`, destination: hostname, ...(user && { user }), ...(port && { port }) }, options, depth + 1, via);
  }
  return via;
}

function destinationOf(text: string, host: string): ReturnType<typeof parseDestination> {
  try {
    return parseDestination(text);
  } catch (error) {
    throw new SshError({ code: "ssh.config", host, what: (error as Error).message, remedy: "Correct ProxyJump in ~/.ssh/config.", cause: error });
  }
}

/** Runs `ssh -G`; keys are lower case, those that repeat keep their order. */
async function ask(reference: HostReference, options: ResolveOptions): Promise<Map<string, string[]>> {
  const args = ["-G", ...(options.configFile ? ["-F", options.configFile] : []), ...(reference.user ? ["-l", reference.user] : []), ...(reference.port ? ["-p", String(reference.port)] : []), "--", reference.destination];
  try {
    const { stdout } = await execute("ssh", args, { timeout: 10_000 });
    const config = new Map<string, string[]>();
    for (const line of stdout.split("\n")) {
      const [, key, value] = /^(\S+) (.*)$/.exec(line) ?? [];
      if (key && value !== undefined) config.set(key, [...(config.get(key) ?? []), value]);
    }
    return config;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const said = String((error as { stderr?: string }).stderr ?? "").trim();
    throw new SshError({
      code: "ssh.config",
      host: reference.name,
      what: missing ? "the command ssh is not installed; it is asked how hosts are configured" : `ssh -G ${reference.destination} failed: ${said || (error as Error).message}`,
      remedy: missing ? "Install OpenSSH's client (Debian: apt install openssh-client)." : "Correct ~/.ssh/config.",
      cause: error,
    });
  }
}

const words = (text: string | undefined) => text?.split(/\s+/).filter((w) => w !== "") ?? [];

function expandPath(path: string, { hostname, user }: { hostname: string; user: string }): string {
  const tokens: Record<string, string> = { "%d": homedir(), "%h": hostname, "%r": user, "%u": userInfo().username, "%%": "%" };
  const home = path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
  return home.replaceAll(/%[dhru%]/g, (token) => tokens[token] ?? token);
}
