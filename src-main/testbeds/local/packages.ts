import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exitCodes, Problem } from "../../problem.ts";
import { packagesFolder } from "./folders.ts";
import { onPath, run, type RunResult } from "./run.ts";

/** What lab hosts need. They see it under /usr; the machine itself never does, and no daemon of it is started. */
const wanted = ["openssh-server", "openssh-sftp-server", "openssh-client", "sudo", "nginx-light", "curl", "iputils-ping", "nftables", "iproute2"];

/** A tree with `usr` and `etc`; undefined where hosts use what is installed on the machine. */
export type Packages = string | undefined;

/**
 * The packages for lab hosts, from the cache or else downloaded and unpacked into it (some seconds, once). Without apt the machine's own
 * sshd serves. Throws Problem `lab.packages` with the command that helps.
 */
export async function ensurePackages(progress: (what: string) => void): Promise<Packages> {
  const release = await releaseName();
  if (release === undefined || !onPath("apt-get") || !onPath("dpkg")) return ownPrograms();
  const target = join(packagesFolder(), release);
  if (await isComplete(target)) return target;
  progress("downloading packages for the lab's hosts (once)");
  await mkdir(packagesFolder(), { recursive: true });
  const work = await mkdtemp(join(packagesFolder(), `.${release}-`));
  try {
    await download(work);
    await unpack(work);
    await writeFile(join(work, "packages.json"), JSON.stringify(wanted));
    await rm(target, { recursive: true, force: true });
    await rename(work, target).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await isComplete(target))) throw error; // else: another lab was faster
    });
    return target;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** For example `bookworm-amd64`; undefined on a system without Debian's packages. */
export async function releaseName(): Promise<string | undefined> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([a-z0-9]+)"?$/m.exec(text)?.[1];
  if (!codename) return undefined;
  return `${codename}-${{ x64: "amd64" }[process.arch as string] ?? process.arch}`;
}

async function isComplete(folder: string): Promise<boolean> {
  const list = await readFile(join(folder, "packages.json"), "utf8").catch(() => "");
  return list === JSON.stringify(wanted);
}

function ownPrograms(): undefined {
  const missing = ["sshd", "sudo"].filter((program) => !onPath(program));
  if (missing.length === 0) return undefined;
  throw new Problem({
    code: "lab.packages",
    what: `lab hosts need ${missing.join(" and ")}, and this system has no apt to fetch packages with`,
    remedy: "Install the OpenSSH server and sudo with your system's package manager (the server need not be started).",
    exitCode: exitCodes.environment,
  });
}

/** Downloads the wanted packages and whatever they need that is not installed. */
async function download(folder: string): Promise<void> {
  const options = await packageLists(folder);
  const plan = await run("apt-get", [...options, "install", "--simulate", "--no-install-recommends", "-qq", ...wanted]);
  const needed = [...plan.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] as string);
  const packages = [...new Set([...wanted, ...needed])];
  const fetched = await run("apt-get", [...options, "download", "-qq", ...packages], { cwd: folder });
  if (fetched.code !== 0) throw failed("apt-get download failed", fetched);
}

/** Options with which apt knows the packages: the system's own lists, or lists of ours where those are missing. */
export async function packageLists(folder: string): Promise<string[]> {
  const known = await run("apt-cache", ["show", "--no-all-versions", wanted[0] as string]);
  if (known.code === 0) return [];
  await mkdir(join(folder, "apt/lists/partial"), { recursive: true });
  const options = ["-o", `Dir::State::lists=${join(folder, "apt/lists")}`, "-o", `Dir::Cache=${join(folder, "apt")}`];
  const updated = await run("apt-get", [...options, "update", "-qq"]);
  if (updated.code !== 0) throw failed("apt-get update failed", updated);
  return options;
}

async function unpack(folder: string): Promise<void> {
  const archives = (await readdir(folder)).filter((name) => name.endsWith(".deb"));
  for (const archive of archives) {
    const unpacked = await run("dpkg", ["-x", join(folder, archive), folder]);
    if (unpacked.code !== 0) throw failed(`unpacking ${archive} failed`, unpacked);
    await rm(join(folder, archive));
  }
  await rm(join(folder, "apt"), { recursive: true, force: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (!existsSync(join(folder, name))) continue;
    await cp(join(folder, name), join(folder, "usr", name), { recursive: true, verbatimSymlinks: true });
    await rm(join(folder, name), { recursive: true });
  }
}

function failed(what: string, result: RunResult): Problem {
  const evidence = result.stderr.trim().slice(-2000);
  if (/No space left|ENOSPC/i.test(evidence))
    return new Problem({ code: "lab.diskFull", what: `${what}: no space left below ${packagesFolder()}`, remedy: "Free about 50 MB there, or set XDG_CACHE_HOME to another disk.", evidence, exitCode: exitCodes.environment });
  return new Problem({
    code: "lab.packages",
    what: `the packages for lab hosts cannot be fetched: ${what}`,
    remedy: `Check the network and apt's sources; \`apt-get update && apt-get download ${wanted.join(" ")}\` must work. Or install openssh-server yourself.`,
    evidence,
    exitCode: exitCodes.environment,
  });
}
