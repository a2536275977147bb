import { execFileSync, type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Duplex } from "node:stream";
import { hostNames, knownHostName } from "../../src-main/ssh/known-hosts.ts";
import type { SshTarget } from "../../src-main/ssh/target.ts";
import { freePort } from "./freePort.ts";

/** Where sshd is: installed, or unpacked in our cache. Undefined when nowhere. */
export function findSshd(): string | undefined {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "anycast-lab", "packages");
  const unpacked = existsSync(cache) ? readdirSync(cache).map((name) => join(cache, name, "usr/sbin/sshd")) : [];
  return [process.env["ANYCAST_LAB_SSHD"] ?? "", "/usr/sbin/sshd", ...unpacked].find((path) => path !== "" && existsSync(path));
}

/** Why real-sshd tests cannot run here, or undefined. */
export function whyNoSshd(): string | undefined {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root (sshd has to log users in)";
  if (!findSshd()) return "needs sshd (npm test unpacks the package openssh-server)";
  return undefined;
}

/** A real sshd of our own on 127.0.0.1 with fresh host keys, a user key that it accepts, and nothing of the machine's configuration. */
export class TestSshd {
  readonly directory: string;
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #perConnection: readonly string[] | undefined;

  private constructor(directory: string, port: number, process: ChildProcess, perConnection?: readonly string[]) {
    this.directory = directory;
    this.port = port;
    this.#process = process;
    this.#perConnection = perConnection;
  }

  /**
   * Starts it in mount and process namespaces of its own, so that stopping it ends whatever was started through it.
   * `config`: further lines of sshd_config. `hostKeys`: types of host keys. `setup`: shell lines run before, with $DIR, to mount things for this host alone.
   * `isolated`: a network namespace of its own too, with the address `isolatedAddress` on lo, reached over streams instead of TCP; `withheld` are
   * capabilities that not even root has there.
   */
  static async start({ config = [], hostKeys = ["ed25519"], setup = "", authorizedKeys, isolated = false, withheld = [] }: SshdOptions = {}): Promise<TestSshd> {
    const directory = mkdtempSync(join(tmpdir(), "acl-sshd-"));
    chmodSync(directory, 0o755);
    const port = await freePort("127.0.0.1");
    for (const type of hostKeys) keygen(join(directory, `host_${type}`), type);
    keygen(join(directory, "id_ed25519"), "ed25519");
    writeFileSync(join(directory, "authorized_keys"), authorizedKeys ?? readFileSync(join(directory, "id_ed25519.pub")));
    writeFileSync(join(directory, "passwd"), accounts(directory));
    const hash = execFileSync("openssl", ["passwd", "-6", testPassword], { encoding: "utf8" }).trim();
    writeFileSync(join(directory, "shadow"), `root:*:19000:0:99999:7:::\n${testUser}:${hash}:19000:0:99999:7:::\n`, { mode: 0o600 });
    mkdirSync(join(directory, "root-home"), { mode: 0o700 });
    mkdirSync(join(directory, "home"));
    chownSync(join(directory, "home"), testUserId, testUserId);
    writeFileSync(
      join(directory, "sshd_config"),
      [
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        ...hostKeys.map((type) => `HostKey ${join(directory, `host_${type}`)}`),
        `AuthorizedKeysFile ${join(directory, "authorized_keys")}`,
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 100:30:200",
        "MaxSessions 50",
        "UseDNS no",
        "PrintMotd no",
        ...config,
      ].join("\n"),
    );
    const sshd = findSshd() as string;
    const libraries = join(dirname(dirname(dirname(sshd))), "usr/lib/x86_64-linux-gnu");
    const daemon = ["env", `LD_LIBRARY_PATH=${libraries}`, sshd, "-f", join(directory, "sshd_config"), "-E", join(directory, "sshd.log")];
    const script = [
      "set -e",
      `DIR=${directory}`,
      "mount -t tmpfs -o mode=755 tmpfs /run",
      "mkdir /run/sshd",
      "mount --bind $DIR/passwd /etc/passwd",
      "mount --bind $DIR/shadow /etc/shadow",
      ...(isolated ? ["ip link set lo up", `ip addr add ${isolatedAddress}/64 dev lo nodad`] : []),
      setup,
      isolated ? "touch $DIR/ready; exec sleep infinity" : `exec ${daemon.join(" ")} -D`,
    ].join("\n");
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", ...(isolated ? ["--net"] : [])];
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...namespaces, "sh", "-c", script], { stdio: ["ignore", "ignore", "inherit"] });
    if (!isolated) {
      await answering(port, child, join(directory, "sshd.log"));
      return new TestSshd(directory, port, child);
    }
    await ready(child, join(directory, "ready"));
    const first = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
    const bounds = withheld.length > 0 ? ["setpriv", "--bounding-set", withheld.map((name) => `-${name}`).join(",")] : [];
    return new TestSshd(directory, 22, child, ["nsenter", "--target", first, "--mount", "--pid", "--net", ...bounds, ...daemon, "-i"]);
  }

  get keyFile(): string {
    return join(this.directory, "id_ed25519");
  }

  get knownHostsFile(): string {
    return join(this.directory, "known_hosts");
  }

  /** The blob of a host key's public half as known_hosts has it: `type base64`. */
  hostKey(type = "ed25519"): string {
    return readFileSync(join(this.directory, `host_${type}.pub`), "utf8").split(" ").slice(0, 2).join(" ");
  }

  /** Makes this host known (by all or the given keys), as a person would have. */
  trust(types: readonly string[] = ["ed25519"]): void {
    writeFileSync(this.knownHostsFile, types.map((type) => `${knownHostName("127.0.0.1", this.port)} ${this.hostKey(type)}\n`).join(""), { flag: "a" });
  }

  /** How to connect to it as root; `change` replaces parts. */
  target(change: Partial<SshTarget> = {}): SshTarget {
    return {
      host: "test-host",
      user: "root",
      hostname: "127.0.0.1",
      port: this.port,
      trust: { names: hostNames("127.0.0.1", this.port), files: [this.knownHostsFile] },
      credentials: { keyFiles: [this.keyFile] },
      ...(this.#perConnection && { stream: () => this.#session() }),
      ...change,
    };
  }

  /** A session of an sshd that serves one connection on its stdio. */
  async #session(): Promise<Duplex> {
    const [program, ...args] = this.#perConnection as [string, ...string[]];
    const session = spawn(program, args, { stdio: ["pipe", "pipe", "ignore"] });
    session.stdin.on("error", () => {});
    return Duplex.from({ readable: session.stdout, writable: session.stdin });
  }

  log(): string {
    return readFileSync(join(this.directory, "sshd.log"), "utf8");
  }

  /** Ends sshd and everything started through it, and removes its files. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * The host's passwd: root with a home of its own (the machine's start-up files are none of our business, and slow), the test user, and the
 * user that sshd wants for privilege separation, which an unpacked package has not made.
 */
function accounts(directory: string): string {
  const others = readFileSync("/etc/passwd", "utf8").replaceAll(/^(root|sshd):.*\n/gm, "");
  return [
    `root:x:0:0:root:${join(directory, "root-home")}:/bin/bash`,
    `${testUser}:x:${testUserId}:${testUserId}::${join(directory, "home")}:/bin/sh`,
    "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin",
    others,
  ].join("\n");
}

/** The global address of an isolated host, on lo. */
export const isolatedAddress = "fd00:ac1::1";
export const testPassword = "open sesame";

export interface SshdOptions {
  readonly config?: readonly string[];
  readonly hostKeys?: readonly string[];
  readonly setup?: string;
  readonly authorizedKeys?: string;
  readonly isolated?: boolean;
  readonly withheld?: readonly string[];
}

/** An ordinary user who exists on every test host alone; home in the host's directory. */
export const testUser = "tester";
export const testUserId = 61700;

/** A new key pair without passphrase, or with one. */
export function keygen(path: string, type: string, passphrase = ""): void {
  execFileSync("ssh-keygen", ["-q", "-t", type, ...(type === "rsa" ? ["-b", "2048"] : []), "-N", passphrase, "-C", "test", "-f", path]);
}

/** A busy machine may take long. */
const startTimeoutMs = 60_000;

async function answering(port: number, child: ChildProcess, log: string): Promise<void> {
  for (const deadline = Date.now() + startTimeoutMs; Date.now() < deadline; ) {
    if (child.exitCode !== null) throw new Error(`sshd ended at once: ${readFileSync(log, "utf8")}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => {});
      setTimeout(() => socket.destroy(), 20);
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`sshd does not answer on port ${port}`);
}

async function ready(child: ChildProcess, file: string): Promise<void> {
  for (const deadline = Date.now() + startTimeoutMs; Date.now() < deadline; ) {
    if (existsSync(file)) return;
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("the test host could not be set up; see above");
}
