import { exitCodes, Problem } from "../../problem.ts";
import { onPath } from "../local/run.ts";
import { diskFile, kernelFile, type Image } from "./image.ts";
import type { Accelerator } from "./accelerator.ts";
import { firstProgram } from "./imageContents.ts";

/** One network card: a tap device that is there already, in the namespace that QEMU runs in. */
export interface Card {
  readonly tap: string;
  readonly mac: string;
}

export interface MachineOptions {
  readonly image: Pick<Image, "path">;
  readonly accelerator: Accelerator;
  readonly memoryBytes: number;
  readonly cpus: number;
  /** A raw disk with an empty ext4 file system, for what hosts write. */
  readonly dataDisk: string;
  /** A tar archive: what the lab has for this machine. */
  readonly labDisk: string;
  /** A file for all that the kernel and hosts say. */
  readonly console: string;
  /** The first is for management. */
  readonly cards: readonly Card[];
}

const program = "qemu-system-x86_64";

/** Throws Problem `vm.noQemu` with the command that installs it. */
export function findQemu(): string {
  const path = onPath(program);
  if (path) return path;
  throw new Problem({ code: "vm.noQemu", what: `virtual machines need QEMU (${program}), which is not installed`, remedy: "sudo apt-get install --no-install-recommends qemu-system-x86", exitCode: exitCodes.environment });
}

/** No firmware but what boots a kernel directly, no devices but ours. The processor's clock is the machine's own: QEMU's virtual clock does not drift from it. */
function base(image: Pick<Image, "path">, accelerator: Accelerator, cpus: number, memoryBytes: number, consoleFile: string): string[] {
  return [
    "-machine", "pc,vmport=off", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none",
    ...(accelerator === "kvm" ? ["-accel", "kvm", "-cpu", "host"] : ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "max"]),
    "-smp", String(cpus), "-m", `${Math.ceil(memoryBytes / (1 << 20))}M`, "-rtc", "base=utc",
    "-kernel", kernelFile(image), "-append", `console=ttyS0 quiet root=/dev/nvme0n1 rootfstype=ext4 ro init=/${firstProgram} panic=-1 mitigations=off nokaslr net.ifnames=0 tsc=reliable`,
    "-chardev", `file,id=console,path=${escape(consoleFile)}`, "-serial", "chardev:console",
    "-device", "nvme,id=disks,serial=lab", ...disk(1, diskFile(image), "readonly=on,file.locking=off"),
  ];
}

function disk(number: number, file: string, options: string): string[] {
  return ["-drive", `if=none,id=disk${number},format=raw,file=${escape(file)},${options}`, "-device", `nvme-ns,drive=disk${number},bus=disks,nsid=${number}`];
}

/** QEMU's arguments for a machine of a lab. Its stdin and stdout are the line to the program in it. */
export function machineArguments(options: MachineOptions): string[] {
  const { image, accelerator, cpus, memoryBytes, cards } = options;
  return [
    ...base(image, accelerator, cpus, memoryBytes, options.console),
    ...disk(2, options.dataDisk, "cache=unsafe,discard=unmap,file.locking=off"),
    ...disk(3, options.labDisk, "readonly=on,file.locking=off"),
    "-chardev", "stdio,id=control,signal=off", "-serial", "chardev:control",
    ...cards.flatMap(({ tap, mac }, i) => ["-netdev", `tap,id=net${i},ifname=${tap},script=no,downscript=no`, "-device", `virtio-net-pci,netdev=net${i},mac=${mac},romfile=`]),
  ];
}

/** QEMU's arguments to see whether a machine boots under KVM. */
export function probeArguments(image: Pick<Image, "path">, consoleFile: string): string[] {
  return base(image, "kvm", 1, 256 << 20, consoleFile);
}

/** In QEMU's option lists a comma is written twice. */
const escape = (path: string) => path.replaceAll(",", ",,");
