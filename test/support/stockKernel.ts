/**
 * Runs a command under a stock Debian kernel: in a virtual machine whose root is this machine's own, read-only, with a layer in memory on top. So every spec that
 * runs here can run there. From the command line: stockKernel.ts COMMAND…
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory } from "../../scripts/packages.mjs";

const packages = ["linux-image-cloud-amd64", "busybox-static"];
/** Debian 12 has it in qemu-system-common, later ones in a package of its own. */
const virtiofsd = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"].find(existsSync);
/** In the order in which they need each other. */
const bootModules = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "fuse", "virtiofs", "overlay"];
const megabytes = 1536;
const upMark = "[machine is up]";

/** Why there can be no such machine here, or null. */
export function cannotRunStockKernel(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86-64";
  if (process.getuid?.() !== 0) return "needs root, for virtiofsd to show it all files";
  if (!virtiofsd || !onPath("qemu-system-x86_64")) return "needs qemu-system-x86 with virtiofsd";
  if (!onPath("apt-get")) return "needs apt-get, for Debian's kernel";
  return null;
}

function onPath(program: string): boolean {
  return `${process.env["PATH"]}:/usr/sbin`.split(":").some((directory) => existsSync(join(directory, program)));
}

/**
 * Runs a shell command there, in this directory and with these variables on top of a plain environment; resolves with its exit code (undefined when the machine
 * ended or ran out of time before it did) and everything that it and the kernel said.
 */
export async function runUnderStockKernel(command: string, options: { readonly environment?: Readonly<Record<string, string>>; readonly limitMs: number; readonly onOutput?: (text: string) => void }): Promise<{ code: number | undefined; output: string }> {
  const root = unpackKernel();
  const work = mkdtempSync(join(tmpdir(), "stock-kernel-"));
  const children: ChildProcess[] = [];
  try {
    const [kernel] = readdirSync(join(root, "lib/modules")) as [string];
    const variables = Object.entries(options.environment ?? {}).map(([name, value]) => `export ${name}='${value}'\n`);
    writeFileSync(join(work, "initrd"), initrd(root, kernel, `cd '${process.cwd()}'\n${variables.join("")}${command}\n`));
    const socket = join(work, "files");
    children.push(spawn(virtiofsd as string, [`--socket-path=${socket}`, "-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always", "-o", "log_level=err"], { stdio: "ignore" }));
    while (!existsSync(socket)) {
      if (children[0]?.exitCode !== null) throw new Error("virtiofsd does not run here");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const machine = spawn("qemu-system-x86_64", machineArguments(root, kernel, work, socket), { stdio: ["ignore", "pipe", "pipe"] });
    children.push(machine);
    let output = "";
    for (const stream of [machine.stdout, machine.stderr])
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString().replaceAll("\r\n", "\n");
        options.onOutput?.(chunk.toString());
      });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => machine.kill("SIGKILL"), options.limitMs);
      machine.once("exit", () => (clearTimeout(timer), resolve()));
    });
    const code = /^\[it ended with (\d+)\]$/m.exec(output)?.[1];
    return { code: code === undefined ? undefined : Number(code), output: output.slice(output.indexOf(upMark) + upMark.length) };
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(work, { recursive: true, force: true });
  }
}

function machineArguments(root: string, kernel: string, work: string, socket: string): string[] {
  return [
    ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max", "-smp", "2", "-m", `${megabytes}M`],
    ["-object", `memory-backend-memfd,id=memory,size=${megabytes}M,share=on`, "-numa", "node,memdev=memory"],
    ["-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio"],
    ["-chardev", `socket,id=files,path=${socket}`, "-device", "vhost-user-fs-pci,chardev=files,tag=files,queue-size=512"],
    ["-kernel", join(root, `boot/vmlinuz-${kernel}`), "-initrd", join(work, "initrd"), "-append", "console=ttyS0 panic=-1 oops=panic no_timer_check quiet mitigations=off"],
  ].flat();
}

/** The packages' files, downloaded once. They appear whole or not at all. */
function unpackKernel(): string {
  const root = join(cacheDirectory(), "stock-kernel");
  if (existsSync(root)) return root;
  mkdirSync(cacheDirectory(), { recursive: true });
  const work = mkdtempSync(join(cacheDirectory(), ".unpacking-"));
  try {
    const depends = execFileSync("apt-cache", ["depends", packages[0] as string], { encoding: "utf8" });
    const image = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (!image) throw new Error(`apt does not know ${packages[0]}: apt-get update`);
    execFileSync("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", image, ...packages.slice(1)], { cwd: work, stdio: ["ignore", "pipe", "pipe"] });
    for (const file of readdirSync(work).filter((name) => name.endsWith(".deb"))) execFileSync("dpkg-deb", ["--extract", join(work, file), join(work, "root")]);
    const [kernel] = readdirSync(join(work, "root/lib/modules")) as [string];
    execFileSync(join(work, "root/bin/busybox"), ["depmod", "-b", join(work, "root"), kernel]);
    renameSync(join(work, "root"), root);
    return root;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What the machine boots from: busybox, the modules that show it its files, and the command. */
function initrd(root: string, kernel: string, command: string): Buffer {
  const modules = execFileSync("find", [join(root, "lib/modules", kernel), "-name", "*.ko"], { encoding: "utf8" }).split("\n");
  const moduleFile = (name: string): Buffer => readFileSync(modules.find((path) => path.endsWith(`/${name}.ko`)) as string);
  const folders = ["bin", "proc", "dev", "below", "layer", "root", "modules"];
  const files: [string, Buffer][] = [
    ["init", Buffer.from(initScript(join(root, "lib/modules")))],
    ["command", Buffer.from(command)],
    ["bin/busybox", readFileSync(join(root, "bin/busybox"))],
    ...bootModules.map((name): [string, Buffer] => [`modules/${name}.ko`, moduleFile(name)]),
  ];
  return Buffer.concat([...folders.map((name) => cpioEntry(name, 0o40755)), ...files.map(([name, content]) => cpioEntry(name, 0o100755, content)), cpioEntry("TRAILER!!!", 0)]);
}

/** cpio's "newc" format: 13 numbers of 8 hexadecimal digits, the name, the content, each padded to 4 bytes. */
function cpioEntry(name: string, mode: number, content: Buffer = Buffer.alloc(0)): Buffer {
  const numbers = [0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0].map((n) => n.toString(16).padStart(8, "0")).join("");
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  return Buffer.concat([padded(Buffer.from(`070701${numbers}${name}\0`)), padded(content)]);
}

/** Only /run, /tmp and the layer in memory can be written to. */
const initScript = (modules: string): string => `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for m in ${bootModules.join(" ")}; do $b insmod /modules/$m.ko; done
$b mount -t virtiofs -o ro files /below || $b poweroff -f
$b mount -t tmpfs layer /layer
$b mkdir /layer/files /layer/work
$b mount -t overlay -o lowerdir=/below,upperdir=/layer/files,workdir=/layer/work root /root
$b mkdir -p /root/lib/modules
for d in proc sys dev run tmp; do $b mkdir -p /root/$d; done
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t devtmpfs dev /root/dev
$b mount -t tmpfs run /root/run
$b mkdir -p /root/dev/pts /root/dev/shm /root/run/machine
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs shm /root/dev/shm
$b cp /bin/busybox /command /root/run/machine
$b ln -s busybox /root/run/machine/modprobe
echo /run/machine/modprobe >/proc/sys/kernel/modprobe
$b cat >/root/run/machine/start <<'END'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/machine HOME=/root LC_ALL=C.UTF-8
mount --bind ${modules} /lib/modules
ip link set lo up
echo "${upMark}"
bash /run/machine/command </dev/null
echo "[it ended with $?]"
echo o >/proc/sysrq-trigger
sleep 60
END
exec $b switch_root -c /dev/console /root /bin/bash /run/machine/start
`;

if (process.argv[1] === import.meta.filename) {
  const { code } = await runUnderStockKernel(process.argv.slice(2).join(" "), { limitMs: 3_600_000, onOutput: (text) => void process.stdout.write(text) });
  process.exit(code ?? 1);
}
