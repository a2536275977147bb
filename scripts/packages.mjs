/**
 * Debian packages that would start a daemon when installed (sshd on port 22, nginx on 80) are unpacked into a cache of ours instead:
 * `<cache>/packages/<name>/` holds the files of that name's packages, as if it were `/`. Plain JavaScript: runs on Node 20 before npm ci.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** What is unpacked: the packages with their libraries that a minimal Debian may lack, and a file that proves them. */
export const unpacked = {
  openssh: { packages: ["openssh-server", "openssh-sftp-server", "libwrap0"], proof: "usr/sbin/sshd" },
  nginx: { packages: ["nginx"], proof: "usr/sbin/nginx" },
};

export const cacheDirectory = () => join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "anycast-lab");

/** The directory that stands for `/` of an unpacked set; it may not exist yet. */
export const unpackedRoot = (name) => join(cacheDirectory(), "packages", name);

/** Names of sets that are not there yet. */
export function missingSets() {
  return Object.entries(unpacked)
    .filter(([name, { proof }]) => !existsSync(join(unpackedRoot(name), proof)))
    .map(([name]) => name);
}

/** Downloads a set's packages as any user and unpacks them; the directory appears whole or not at all. Throws with apt's words. */
export function unpack(name) {
  const { packages } = unpacked[name];
  const parent = join(cacheDirectory(), "packages");
  mkdirSync(parent, { recursive: true });
  const temporary = mkdtempSync(join(parent, ".unpacking-"));
  try {
    execFileSync("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", ...packages], { cwd: temporary, stdio: ["ignore", "pipe", "pipe"] });
    for (const file of readdirSync(temporary).filter((f) => f.endsWith(".deb"))) {
      execFileSync("dpkg-deb", ["--extract", join(temporary, file), join(temporary, "root")], { stdio: ["ignore", "pipe", "pipe"] });
    }
    writeFileSync(join(temporary, "root", ".packages"), `${packages.join("\n")}\n`);
    rmSync(unpackedRoot(name), { recursive: true, force: true });
    renameSync(join(temporary, "root"), unpackedRoot(name));
  } catch (error) {
    const said = String(error.stderr || error.message).trim();
    throw new Error(`unpacking ${packages.join(", ")} failed: ${said}`, { cause: error });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
