import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { exitCodes, Problem } from "../../problem.ts";
import { onPath, run, systemEnvironment } from "./run.ts";

/** Ids 0..65535 exist in a lab: 0 is who started it, the rest come from here. */
const idCount = 65_535;
/** Used when root makes a lab in a user namespace: beyond what distributions hand out. */
const rootsRange = { first: 0x7000_0000, count: idCount };

interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** What a lab's first process is started with. */
export interface NamespaceOptions {
  readonly command: readonly [program: string, ...args: string[]];
  /** In a user namespace, without rights on the machine. The only way when not root. */
  readonly rootless: boolean;
  /** Descriptor for standard error. */
  readonly log: number;
}

/**
 * Starts a process in new mount, network, pid, uts and ipc namespaces, as its own session. Its stdin and stdout are pipes. When either the
 * returned process or the first one inside dies, the kernel ends everything inside and the namespaces are gone. Throws Problem
 * `lab.noUserNamespaces`, `lab.uidmap` or `lab.noSubordinateIds`.
 */
export async function startInNamespaces(options: NamespaceOptions): Promise<ChildProcess> {
  const unshare = ["--mount", "--propagation", "private", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"];
  const start = (args: readonly string[]) => spawn("unshare", args, { detached: true, stdio: ["pipe", "pipe", options.log], env: systemEnvironment });
  if (!onPath("unshare")) throw new Problem({ code: "lab.noUnshare", what: "the program unshare is missing", remedy: "Install util-linux: apt-get install util-linux", exitCode: exitCodes.environment });
  if (!options.rootless) return start([...unshare, ...options.command]);
  const ranges = await subordinateIds();
  // The shell waits until its ids are mapped, and becomes root inside by starting the next program.
  const child = start(["--user", "sh", "-c", `echo unshared; read -r _; exec unshare ${unshare.join(" ")} "$@"`, "sh", ...options.command]);
  try {
    await untilUnshared(child);
    await mapIds(child.pid as number, ranges);
    child.stdin?.write("mapped\n");
    return child;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** The command line that runs a program with the id mapping of a rootless lab: for removing files that belong to its users. */
export async function runMapped(program: string, args: readonly string[]): Promise<void> {
  const ranges = await subordinateIds();
  const child = spawn("unshare", ["--user", "sh", "-c", 'echo unshared; read -r _; exec "$@"', "sh", program, ...args], { stdio: ["pipe", "pipe", "ignore"], env: systemEnvironment });
  await untilUnshared(child);
  await mapIds(child.pid as number, ranges);
  const ended = once(child, "close");
  child.stdout.resume();
  child.stdin.end("mapped\n");
  await ended;
}

function untilUnshared(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = () => noUserNamespaces().catch(reject);
    child.once("error", refused);
    child.once("exit", refused);
    child.stdout?.once("data", () => {
      child.off("exit", refused);
      resolve();
    });
  });
}

async function mapIds(pid: number, ranges: { readonly uid: IdRange; readonly gid: IdRange }): Promise<void> {
  const { uid, gid } = userInfo();
  if (uid === 0) {
    await writeFile(`/proc/${pid}/uid_map`, `0 0 1\n1 ${ranges.uid.first} ${idCount}\n`);
    await writeFile(`/proc/${pid}/gid_map`, `0 0 1\n1 ${ranges.gid.first} ${idCount}\n`);
    return;
  }
  const map = async (program: string, own: number, range: IdRange) => {
    const mapped = await run(program, [pid, 0, own, 1, 1, range.first, Math.min(range.count, idCount)].map(String));
    if (mapped.code !== 0) throw new Problem({ code: "lab.uidmap", what: `${program} failed`, remedy: `Check the entries of ${userInfo().username} in /etc/subuid and /etc/subgid, and that ${program} is setuid root.`, evidence: mapped.stderr, exitCode: exitCodes.environment });
  };
  await map("newuidmap", uid, ranges.uid);
  await map("newgidmap", gid, ranges.gid);
}

/** The ids that this user may give to others in a user namespace. */
async function subordinateIds(): Promise<{ uid: IdRange; gid: IdRange }> {
  const { uid, username } = userInfo();
  if (uid === 0) return { uid: rootsRange, gid: rootsRange };
  if (!onPath("newuidmap") || !onPath("newgidmap"))
    throw new Problem({ code: "lab.uidmap", what: "a lab without root needs newuidmap and newgidmap", remedy: "Install them once: sudo apt-get install uidmap. Or run as root.", exitCode: exitCodes.environment });
  const ranges = { uid: await rangeIn("/etc/subuid", uid, username), gid: await rangeIn("/etc/subgid", uid, username) };
  if (ranges.uid && ranges.gid) return { uid: ranges.uid, gid: ranges.gid };
  throw new Problem({
    code: "lab.noSubordinateIds",
    what: `${username} has no range of ${idCount} ids in ${ranges.uid ? "/etc/subgid" : "/etc/subuid"}; with its own id alone sshd could not change to the login user of a lab host, so no login would work`,
    remedy: `Run once: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${username} (any free range will do). Or run as root.`,
    exitCode: exitCodes.environment,
  });
}

async function rangeIn(file: string, uid: number, username: string): Promise<IdRange | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text
    .split("\n")
    .map((line) => line.split(":"))
    .filter(([owner]) => owner === username || owner === String(uid))
    .map(([, first, count]) => ({ first: Number(first), count: Number(count) }))
    .find((range) => range.count >= idCount);
}

/** Why the kernel refused a user namespace, by the switches that distributions have. */
async function explainRefusal(): Promise<string> {
  const setting = async (name: string) => (await readFile(`/proc/sys/${name}`, "utf8").catch(() => "")).trim();
  if ((await setting("kernel/unprivileged_userns_clone")) === "0") return "Run once: sudo sysctl kernel.unprivileged_userns_clone=1. Or run as root.";
  if ((await setting("kernel/apparmor_restrict_unprivileged_userns")) === "1") return "Run once: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0. Or run as root.";
  if ((await setting("user/max_user_namespaces")) === "0") return "Run once: sudo sysctl user.max_user_namespaces=10000. Or run as root.";
  return "In a container, allow user namespaces and mounts (for example by --security-opt seccomp=unconfined), or run as root on the machine itself.";
}

function noUserNamespaces(): Promise<never> {
  return explainRefusal().then((remedy) => {
    throw new Problem({ code: "lab.noUserNamespaces", what: "this system does not let ordinary users make user namespaces", remedy, exitCode: exitCodes.environment });
  });
}
