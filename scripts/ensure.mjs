/**
 * What `npm start` and `npm test` need before anything of ours can run: npm packages as the lock file says, Debian packages, unpacked packages.
 * Plain JavaScript without dependencies, for Node 20. Silent and quick when there is nothing to do.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { missingSets, unpack } from "./packages.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
/** The pinned Node that runs everything else. */
export const pinnedNode = join(root, `node_modules/node-linux-${arch()}/bin/node`);

/** Debian packages by a program (or file) that proves them. None of them starts a daemon. */
const runPrograms = { ip: "iproute2", unshare: "util-linux", sudo: "sudo", newuidmap: "uidmap", ssh: "openssh-client", curl: "curl" };
const testPrograms = { tshark: "tshark", "/usr/lib/python3/dist-packages/scapy/__init__.py": "python3-scapy", clang: "clang", nft: "nftables", python3: "python3-minimal", "/usr/include/linux/bpf.h": "linux-libc-dev", chromium: "chromium", zstd: "zstd", "/usr/lib/python3/dist-packages/prometheus_client/__init__.py": "python3-prometheus-client" };

const fetchAgainAfterMs = 24 * 3600_000;

const say = (text) => process.stderr.write(`${text}\n`);

/** npm packages: `npm ci` when the lock file is not the one that node_modules was made from. */
export function ensureNpm() {
  const stamp = join(root, "node_modules/.anycast-lab");
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json"))).digest("hex");
  const installed = existsSync(stamp) && readFileSync(stamp, "utf8") === hash && existsSync(pinnedNode);
  if (installed) return;
  say("installing npm packages …");
  const result = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (result.status !== 0) throw new Error("npm ci failed; see above");
  if (!existsSync(pinnedNode)) throw new Error(`no Node for ${process.platform} ${arch()} came with npm packages: Anycast Lab runs on Linux x86-64 and arm64`);
  writeFileSync(stamp, hash);
}

/** Debian packages: installed when we may, else named with the command that installs them. Returns what is missing all the same. */
export function ensureDebian({ forTests = false } = {}) {
  const wanted = forTests ? { ...runPrograms, ...testPrograms } : runPrograms;
  const missing = [...new Set(Object.entries(wanted).filter(([proof]) => !isThere(proof)).map(([, name]) => name))];
  if (missing.length > 0 && process.getuid() === 0 && isThere("apt-get")) {
    say(`installing Debian packages: ${missing.join(" ")} …`);
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const apt = (...args) => spawnSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], { env: environment, stdio: ["ignore", "ignore", "inherit"] }).status === 0;
    if (!(apt("update") && apt("install", "-y", "--no-install-recommends", ...missing))) throw new Error(`apt-get could not install ${missing.join(" ")}; see above`);
    return [];
  }
  if (missing.length > 0) say(`missing: ${missing.join(" ")}. Install them with:\n  sudo apt-get install --no-install-recommends ${missing.join(" ")}`);
  return missing;
}

/** QEMU, for the tests of virtual machines: they are skipped with the reason where it cannot be installed. */
export function tryQemu() {
  if (isThere("qemu-system-x86_64") || process.getuid() !== 0 || !isThere("apt-get")) return;
  say("installing Debian packages: qemu-system-x86 …");
  const apt = (...args) => spawnSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, stdio: ["ignore", "ignore", "inherit"] }).status === 0;
  if (!(apt("update") && apt("install", "-y", "--no-install-recommends", "qemu-system-x86"))) say("QEMU could not be installed: tests of virtual machines are skipped");
}

/** sshd and nginx of local labs, unpacked into our cache: installing them would start daemons. */
export function ensureUnpacked() {
  for (const name of missingSets()) {
    say(`unpacking ${name} for local labs …`);
    try {
      unpack(name);
    } catch (error) {
      // A fresh machine may have no package lists yet.
      if (process.getuid() !== 0) throw error;
      execFileSync("apt-get", ["-qq", "update"], { stdio: "ignore" });
      unpack(name);
    }
  }
}

/** The bundle for hosts, made on the pinned Node when sources are newer. */
export function ensureAgent() {
  const result = spawnSync(pinnedNode, [join(root, "scripts/build-agent.mjs")], { cwd: root, stdio: "inherit" });
  if (result.status !== 0) throw new Error("the agent could not be bundled; see above");
}

/** The window, made on the pinned Node when sources are newer. */
export function ensureWindow() {
  const result = spawnSync(pinnedNode, [join(root, "scripts/build-window.mjs")], { cwd: root, stdio: "inherit" });
  if (result.status !== 0) throw new Error("the window could not be built; see above");
}

/** For a person at a screen: Electron, fetched once, and our shell for it. Where it cannot be had the window opens in the browser, so nothing here fails. */
export function ensureDesktop() {
  const screen = process.platform !== "linux" || process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  if (!screen || process.getuid?.() === 0) return;
  const package_ = join(root, "node_modules/electron");
  const failed = join(root, "out/electron-not-fetched");
  if (!existsSync(join(package_, "path.txt"))) {
    if (existsSync(failed) && Date.now() - statSync(failed).mtimeMs < fetchAgainAfterMs) return;
    say("fetching Electron (about 110 MB, once) …");
    const result = spawnSync(pinnedNode, [join(package_, "install.js")], { cwd: root, stdio: ["ignore", "ignore", "pipe"], timeout: 10 * 60_000 });
    if (result.status !== 0) {
      say(`Electron could not be fetched (${String(result.stderr).trim().split("\n")[0] || result.error?.message || "it took too long"}): the window opens in the browser. It is tried again tomorrow.`);
      mkdirSync(dirname(failed), { recursive: true });
      writeFileSync(failed, "");
      return;
    }
  }
  const built = spawnSync(pinnedNode, [join(root, "src-main/shells/electron/build.ts")], { cwd: root, stdio: "inherit" });
  if (built.status !== 0) say("the shell for Electron could not be built; see above");
}

function isThere(proof) {
  if (proof.startsWith("/")) return existsSync(proof);
  return `${process.env.PATH}:/usr/sbin:/sbin`.split(":").some((directory) => existsSync(join(directory, proof)));
}
