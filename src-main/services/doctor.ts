import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { release, userInfo } from "node:os";
import { delimiter, join } from "node:path";
import type { PreflightLine } from "../../src-shared/api/app/host.ts";
import { asProblem } from "../problem.ts";
import { labsFolder } from "../testbeds/local/folders.ts";
import { chosenAccelerator } from "../testbeds/vm/accelerator.ts";
import { currentImage } from "../testbeds/vm/image.ts";
import { findQemu } from "../testbeds/vm/qemu.ts";
import { loadBundle, ourNode } from "./hosts/bundle.ts";

/** Looks over this machine: what labs, fleets and tests need, each with what to do where it is missing. Changes nothing. */
export async function examine(): Promise<PreflightLine[]> {
  return [node(), ssh(), await agent(), ...(await labs()), disk()];
}

function node(): PreflightLine {
  const ours = ourNode(process.arch);
  if (!ours) return no("Node", `no Node for ${process.platform} ${process.arch} came with npm`, "npm ci (with optional packages)");
  return process.execPath === ours ? yes("Node", `${process.version}, ours`) : warning("Node", `${process.version} (${process.execPath}) instead of ours`, "Start through npm start.");
}

function ssh(): PreflightLine {
  const found = spawnSync("ssh", ["-V"], { encoding: "utf8" });
  if (found.error) return warning("ssh", "not installed: ~/.ssh/config cannot be asked, fleets do not work", "sudo apt-get install openssh-client");
  return yes("ssh", `${found.stderr.trim().split(",")[0]}${process.env["SSH_AUTH_SOCK"] ? ", SSH agent running" : ", no SSH agent"}`);
}

async function agent(): Promise<PreflightLine> {
  try {
    const { version, architectures, digest } = await loadBundle();
    return yes("agent", `${version} for ${architectures.join(", ")} (${digest.slice(0, 12)})`);
  } catch (error) {
    const problem = asProblem(error);
    return no("agent", problem.message, problem.remedy);
  }
}

/** What local labs need of the kernel and of programs. */
async function labs(): Promise<PreflightLine[]> {
  if (process.platform !== "linux") return [warning("local labs", `need Linux; this is ${process.platform}`, "Use remote hosts (a fleet file), or Linux.")];
  const root = process.getuid?.() === 0;
  const programs = ["ip", "unshare", "nsenter", "setpriv", "sudo", "tar", ...(root ? [] : ["newuidmap", "newgidmap"])].filter((program) => !onPath(program));
  return [
    yes("kernel", `Linux ${release()}`),
    programs.length === 0 ? yes("programs", "ip, unshare, nsenter, setpriv, sudo, tar") : no("programs", `missing: ${programs.join(", ")}`, "sudo apt-get install iproute2 util-linux sudo uidmap"),
    root ? yes("rights", "root: labs use eBPF") : rootless(),
    tun(root),
    root && existsSync("/sys/fs/bpf") ? yes("eBPF", "can be used by labs of root") : warning("eBPF", "labs carry packets through a TUN device, at about half the speed", "Run as root for eBPF."),
    mip6(),
    await machines(),
  ];
}

function rootless(): PreflightLine {
  const name = userInfo().username;
  const clone = read("/proc/sys/kernel/unprivileged_userns_clone");
  const apparmor = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  if (clone === "0") return no("rights", "ordinary users may not make user namespaces", "sudo sysctl kernel.unprivileged_userns_clone=1, or run as root");
  if (apparmor === "1") return no("rights", "AppArmor keeps ordinary users from user namespaces", "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root");
  const ids = ["/etc/subuid", "/etc/subgid"].every((file) => read(file).split("\n").some((line) => line.startsWith(`${name}:`) || line.startsWith(`${process.getuid?.()}:`)));
  return ids ? yes("rights", `${name}, through a user namespace`) : no("rights", `${name} has no ids of its own to give away (/etc/subuid, /etc/subgid)`, `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`);
}

function tun(root: boolean): PreflightLine {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    return yes("TUN device", "/dev/net/tun");
  } catch {
    return root ? warning("TUN device", "/dev/net/tun is missing: the userspace data plane will not work", "modprobe tun") : no("TUN device", "/dev/net/tun cannot be opened, and without root there is no eBPF either", "sudo modprobe tun && sudo chmod 666 /dev/net/tun");
  }
}

function mip6(): PreflightLine {
  const config = read(`/boot/config-${release()}`) || spawnSync("zcat", ["/proc/config.gz"], { encoding: "utf8" }).stdout || "";
  return /^CONFIG_IPV6_MIP6=[ym]$/m.test(config) ? yes("kernel Mobile IPv6", "there") : yes("kernel Mobile IPv6", "not there; not needed");
}

/** Virtual machines are wanted by some labs only. */
async function machines(): Promise<PreflightLine> {
  try {
    findQemu();
    const { key, record } = await currentImage();
    return yes("virtual machines", `image ${key}, Linux ${record.kernel}; ${(await chosenAccelerator()) === "kvm" ? "hardware virtualisation" : "emulated"}`);
  } catch (error) {
    const problem = asProblem(error);
    return yes("virtual machines", `not for now: ${problem.message}. For testbed vm: ${problem.remedy}`);
  }
}

function disk(): PreflightLine {
  let folder = labsFolder();
  while (!existsSync(folder)) folder = join(folder, "..");
  const { bavail, bsize } = statfsSync(folder);
  const megabytes = Math.floor((bavail * bsize) / 1e6);
  return megabytes > 300 ? yes("disk", `${megabytes} MB free for labs (${folder})`) : warning("disk", `only ${megabytes} MB free for labs (${folder})`, "Free some space, or set XDG_STATE_HOME to another disk.");
}

const onPath = (program: string) => `${process.env["PATH"] ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter).some((folder) => existsSync(join(folder, program)));

function read(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

const yes = (check: string, detail: string): PreflightLine => ({ check, ok: "yes", detail, remedy: null, fix: null });
const warning = (check: string, detail: string, remedy: string): PreflightLine => ({ check, ok: "warning", detail, remedy, fix: null });
const no = (check: string, detail: string, remedy: string): PreflightLine => ({ check, ok: "no", detail, remedy, fix: null });
