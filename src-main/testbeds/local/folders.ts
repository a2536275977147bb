import { homedir } from "node:os";
import { join } from "node:path";
import { exitCodes, Problem } from "../../problem.ts";

/** Where our files are: XDG base directories, a relative or empty setting counts as unset. */
function base(variable: string, otherwise: string): string {
  const set = process.env[variable];
  return join(set?.startsWith("/") ? set : join(homedir(), otherwise), "anycast-lab");
}

/** One folder per lab, 0700; its name is the lab's. */
export function labsFolder(): string {
  return join(base("XDG_STATE_HOME", ".local/state"), "labs");
}

/** What is made once and used by all labs: packages, images. */
export function cacheFolder(): string {
  return base("XDG_CACHE_HOME", ".cache");
}

/** Packages unpacked for labs, never installed. */
export function packagesFolder(): string {
  return join(cacheFolder(), "debian");
}

const longestSocketPath = 107;

/** The files of one lab. */
export class LabFolder {
  readonly name: string;
  readonly path: string;

  constructor(name: string, path = join(labsFolder(), name)) {
    this.name = name;
    this.path = path;
  }

  /** What the lab is: plan, options, who runs it. */
  get record(): string {
    return join(this.path, "lab.json");
  }
  /** The process that owns the lab, by machine-wide id and start time. */
  get owner(): string {
    return join(this.path, "owner.json");
  }
  get sshSocket(): string {
    return join(this.path, "ssh.sock");
  }
  get controlSocket(): string {
    return join(this.path, "control.sock");
  }
  get clientKey(): string {
    return join(this.path, "id_ed25519");
  }
  get knownHosts(): string {
    return join(this.path, "known_hosts");
  }
  get sshConfig(): string {
    return join(this.path, "ssh_config");
  }
  /** For `sudo: password` hosts. */
  get password(): string {
    return join(this.path, "password");
  }
  get log(): string {
    return join(this.path, "lab.log");
  }
  /** A virtual machine's disk and console. */
  machine(name: string): string {
    return join(this.path, "machines", name);
  }
  host(name: string): string {
    return join(this.path, "hosts", name);
  }

  /** Throws Problem `lab.pathTooLong`: a Unix socket's path has room for 107 bytes only. */
  checkLength(): void {
    const longest = Buffer.byteLength(this.controlSocket);
    if (longest <= longestSocketPath) return;
    throw new Problem({
      code: "lab.pathTooLong",
      what: `the lab's folder ${this.path} makes socket paths of ${longest} bytes, the system allows ${longestSocketPath}`,
      remedy: "Give the lab a shorter name, or set XDG_STATE_HOME to a shorter path.",
      exitCode: exitCodes.environment,
    });
  }
}

/** Whatever was thrown, with a full disk below the labs' folder told as Problem `lab.diskFull`. */
export function asLabProblem(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT" && !/\bENOSPC\b|No space left/.test(message)) return error;
  return new Problem({ code: "lab.diskFull", what: `no space left below ${labsFolder()}`, remedy: "Free space there, or set XDG_STATE_HOME to another disk.", exitCode: exitCodes.environment, cause: error });
}
