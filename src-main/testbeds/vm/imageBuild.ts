import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, statfs, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exitCodes, Problem } from "../../problem.ts";
import { packageLists } from "../local/packages.ts";
import { onPath, run, type RunResult } from "../local/run.ts";
import { currentRecipe, diskFile, imageNode, imagesFolder, kernelFile, recordFile, type Image, type ImageRecord } from "./image.ts";
import { emptyFolders, firstProgram, firstScript, kernelPackage, leftOut, nodeProgram, requiredOptions, userPackages } from "./imageContents.ts";

/** Room for packages, their content and the disk made of it, while it is made. */
const spaceNeeded = 1.5e9;
/**
 * Makes the image for virtual machines from Debian packages: downloaded and unpacked by an ordinary user or root, never installed. One that has the same
 * packages already is left as it is, unless `force`. Throws Problem `vm.packages`, `vm.programs`, `vm.diskFull`, `vm.kernel`, `vm.architecture` or `vm.image`.
 */
export async function buildImage(options: { readonly force?: boolean; readonly progress?: (what: string) => void } = {}): Promise<{ readonly image: Image; readonly built: boolean }> {
  const progress = options.progress ?? (() => {});
  const node = await imageNode();
  requirePrograms();
  await mkdir(imagesFolder(), { recursive: true });
  await requireSpace();
  const work = await mkdtemp(join(imagesFolder(), ".building-"));
  try {
    progress("asking apt which packages it takes");
    const wanted = await resolvePackages(work);
    const recipe = await currentRecipe();
    const key = createHash("sha256").update(JSON.stringify([recipe, wanted.map(({ name, version }) => [name, version])])).digest("hex").slice(0, 16);
    const path = join(imagesFolder(), key);
    if (options.force) await rm(path, { recursive: true, force: true });
    const there = await readFile(recordFile({ path }), "utf8").catch(() => undefined);
    if (there !== undefined) return { image: { key, path, record: JSON.parse(there) as ImageRecord }, built: false };
    progress(`downloading ${wanted.length} packages`);
    await download(work, wanted);
    progress("unpacking them");
    const tree = await unpack(work);
    const kernel = await prepareTree(tree, work, node.program);
    progress("writing the disk");
    await writeDisk(tree, join(work, "image"));
    const record: ImageRecord = { version: 1, recipe, kernel, node: node.version, packages: wanted.map(({ name, version }) => `${name} ${version}`), builtAt: Date.now() };
    await writeFile(recordFile({ path: join(work, "image") }), JSON.stringify(record));
    await rename(join(work, "image"), path).catch((error: unknown) => {
      if (!existsSync(recordFile({ path }))) throw error; // else: somebody was faster
    });
    return { image: { key, path, record }, built: true };
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? diskFull() : error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

interface Wanted {
  readonly name: string;
  readonly version: string;
}

function requirePrograms(): void {
  const needed: Readonly<Record<string, string>> = { "apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg", mke2fs: "e2fsprogs", ...(process.getuid?.() !== 0 && { unshare: "util-linux" }) };
  const missing = Object.keys(needed).filter((program) => !onPath(program));
  if (missing.length === 0) return;
  const remedy = onPath("apt-get") ? `sudo apt-get install ${[...new Set(missing.map((program) => needed[program]))].join(" ")}` : "Make the image on a Debian machine and copy it (~/.cache/anycast-lab/images), or use testbed local.";
  throw new Problem({ code: "vm.programs", what: `making an image needs ${missing.join(", ")}`, remedy, exitCode: exitCodes.environment });
}

async function requireSpace(): Promise<void> {
  const { bavail, bsize } = await statfs(imagesFolder());
  if (bavail * bsize < spaceNeeded) throw diskFull();
}

function diskFull(): Problem {
  return new Problem({ code: "vm.diskFull", what: `no space to make an image below ${imagesFolder()}`, remedy: `Free ${spaceNeeded / 1e9} GB there (\`lab image clear\` removes images that are not used), or set XDG_CACHE_HOME to another disk.`, exitCode: exitCodes.environment });
}

/** The packages with all they need as if nothing were installed, and the kernel itself without what only an installation would want. */
async function resolvePackages(work: string): Promise<Wanted[]> {
  const lists = await packageLists(work);
  const nothingInstalled = join(work, "status");
  await writeFile(nothingInstalled, "");
  const plan = await run("apt-get", [...lists, "-o", `Dir::State::status=${nothingInstalled}`, "install", "--simulate", "--no-install-recommends", "-qq", ...userPackages]);
  if (plan.code !== 0) throw packagesProblem("apt-get could not plan the packages", plan);
  const users = [...plan.stdout.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => ({ name: name as string, version: version as string }));
  return [...users, await kernelOf(lists)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The package that the kernel's meta package stands for now. */
async function kernelOf(lists: readonly string[]): Promise<Wanted> {
  const depends = await run("apt-cache", [...lists, "depends", kernelPackage]);
  const name = /Depends: (linux-image-\d\S*)/.exec(depends.stdout)?.[1];
  const shown = name === undefined ? depends : await run("apt-cache", [...lists, "show", "--no-all-versions", name]);
  const version = /^Version: (\S+)$/m.exec(shown.stdout)?.[1];
  if (name === undefined || version === undefined) throw packagesProblem(`${kernelPackage} is not to be had`, shown);
  return { name, version };
}

async function download(work: string, wanted: readonly Wanted[]): Promise<void> {
  await mkdir(join(work, "archives"));
  const lists = await packageLists(work);
  const fetched = await run("apt-get", [...lists, "-o", "APT::Sandbox::User=root", "download", "-qq", ...wanted.map(({ name, version }) => `${name}=${version}`)], { cwd: join(work, "archives") });
  if (fetched.code !== 0) throw packagesProblem("apt-get download failed", fetched);
}

async function unpack(work: string): Promise<string> {
  const tree = join(work, "tree");
  for (const archive of await readdir(join(work, "archives"))) {
    const unpacked = await run("dpkg-deb", ["--extract", join(work, "archives", archive), tree]);
    if (unpacked.code !== 0) throw packagesProblem(`unpacking ${archive} failed`, unpacked);
  }
  return tree;
}

/** Makes a root of what packages brought: one /usr, links that an installation would make, our two programs. The kernel's version. */
async function prepareTree(tree: string, work: string, node: string): Promise<string> {
  for (const name of ["bin", "sbin", "lib", "lib64"]) await mergeInto(tree, name);
  const [kernel] = await readdir(join(tree, "usr/lib/modules"));
  if (kernel === undefined) throw new Problem({ code: "vm.kernel", what: `${kernelPackage} brought no modules`, remedy: "Try again later: the package may be in the middle of an update." });
  const config = await readFile(join(tree, `boot/config-${kernel}`), "utf8");
  const lacking = requiredOptions.filter((option) => !config.includes(`CONFIG_${option}=y`));
  if (lacking.length > 0) throw new Problem({ code: "vm.kernel", what: `the kernel ${kernel} is built without ${lacking.join(", ")}`, remedy: "Use the kernel of Debian 12 (bookworm) or newer.", exitCode: exitCodes.environment });
  await mkdir(join(work, "image"));
  await copyFile(join(tree, `boot/vmlinuz-${kernel}`), kernelFile({ path: join(work, "image") }));
  await copyFile(join(tree, `boot/config-${kernel}`), join(tree, "usr/lib/modules", kernel, "config"));
  await Promise.all(leftOut.map((folder) => rm(join(tree, folder), { recursive: true, force: true })));
  await Promise.all(emptyFolders.map((folder) => mkdir(join(tree, folder), { recursive: true })));
  await indexModules(tree, kernel);
  await rm(join(tree, "usr/bin/awk"), { force: true });
  await symlink("mawk", join(tree, "usr/bin/awk"));
  await chmod(join(tree, "usr/bin/sudo"), 0o4755);
  await mkdir(join(tree, "usr/local/bin"), { recursive: true });
  await copyFile(node, join(tree, nodeProgram));
  await chmod(join(tree, nodeProgram), 0o755);
  await writeFile(join(tree, firstProgram), firstScript, { mode: 0o755 });
  return kernel;
}

/** Debian's packages are still divided between / and /usr; an installed system has links instead. */
async function mergeInto(tree: string, name: string): Promise<void> {
  const from = join(tree, name);
  const is = await lstat(from).catch(() => undefined);
  if (is?.isDirectory()) {
    await cp(from, join(tree, "usr", name), { recursive: true, verbatimSymlinks: true, force: true });
    await rm(from, { recursive: true });
  }
  await mkdir(join(tree, "usr", name), { recursive: true });
  if (!is?.isSymbolicLink()) await symlink(`usr/${name}`, from);
}

/** depmod, by the image's own program: this machine may have none, or one that needs other libraries. */
async function indexModules(tree: string, kernel: string): Promise<void> {
  const libraries = join(tree, "usr/lib/x86_64-linux-gnu");
  const result = await run(join(tree, "usr/lib64/ld-linux-x86-64.so.2"), ["--argv0", "depmod", "--library-path", libraries, join(tree, "usr/bin/kmod"), "-b", tree, kernel]);
  if (result.code !== 0) throw new Problem({ code: "vm.image", what: "the kernel's modules could not be indexed (depmod)", remedy: "The lines below say why.", evidence: result.stderr.trim().slice(-2000) });
}

/** An ext4 file system of the tree, all of it root's: made as an ordinary user, by being root in a user namespace of our own. */
async function writeDisk(tree: string, image: string): Promise<void> {
  const used = await run("du", ["-sm", tree]);
  const megabytes = Math.ceil(Number.parseInt(used.stdout, 10) * 1.15) + 32;
  const make = ["mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode", "-L", "anycast-lab", "-d", tree, diskFile({ path: image }), `${megabytes}M`];
  const [program, ...args] = (process.getuid?.() === 0 ? make : ["unshare", "--map-root-user", ...make]) as [string, ...string[]];
  const made = await run(program, args);
  if (made.code === 0) return;
  const evidence = made.stderr.trim().slice(-2000);
  if (/No space left/i.test(evidence)) throw diskFull();
  throw new Problem({ code: "vm.image", what: "the image's file system could not be made", remedy: process.getuid?.() === 0 ? "The lines below say why." : "It is made in a user namespace; `anycast-lab doctor` says whether those are allowed here. Or run it as root once.", evidence });
}

function packagesProblem(what: string, result: RunResult): Problem {
  const evidence = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
  if (/No space left|ENOSPC/i.test(evidence)) return diskFull();
  const remedy = /Unable to locate|No packages found|has no installation candidate/.test(evidence) || evidence === "" ? `apt must know Debian's ${kernelPackage}: run it on Debian, after \`sudo apt-get update\`.` : "Check the network and apt's sources (`sudo apt-get update`).";
  return new Problem({ code: "vm.packages", what: `the packages of the image cannot be had: ${what}`, remedy, evidence, exitCode: exitCodes.environment });
}
