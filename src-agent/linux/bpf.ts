import { check, libc, pointerTo, SystemCallError } from "./libc.ts";
import type { BpfProgram } from "./bpfObject.ts";

const BPF_MAP_CREATE = 0;
const BPF_MAP_LOOKUP_ELEM = 1;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_MAP_DELETE_ELEM = 3;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_PROG_TYPE_SCHED_CLS = 3;
const BPF_TCX_INGRESS = 46;
const BPF_TCX_EGRESS = 47;
const BPF_F_NO_PREALLOC = 1;
const BPF_PSEUDO_MAP_FD = 1;

export const bpfMapTypes = { hash: 1, array: 2, perCpuArray: 6 } as const;

function bpf(command: number, attributes: Buffer, what: string): number {
  const number = ({ x64: 321, arm64: 280 } as Record<string, number>)[process.arch];
  if (number === undefined) throw new Error(`${what}: the number of the bpf system call on ${process.arch} is not known`);
  return check(Number(libc.syscall(number, command, attributes, attributes.length)), what);
}

/** A BPF map, owned by its file descriptor. Keys and values are fixed-size byte strings. */
export class BpfMap {
  readonly fd: number;
  readonly name: string;
  readonly #valueSize: number;
  readonly #element = Buffer.alloc(32);

  constructor(name: string, type: keyof typeof bpfMapTypes, keySize: number, valueSize: number, entries: number) {
    const attributes = Buffer.alloc(72);
    [bpfMapTypes[type], keySize, valueSize, entries, type === "hash" ? BPF_F_NO_PREALLOC : 0].forEach((value, i) => attributes.writeUInt32LE(value, 4 * i));
    attributes.write(name.slice(0, 15), 28, "latin1");
    this.name = name;
    this.#valueSize = valueSize;
    this.fd = bpf(BPF_MAP_CREATE, attributes, `bpf(BPF_MAP_CREATE ${name})`);
  }

  set(key: Uint8Array, value: Uint8Array): void {
    if (value.length !== this.#valueSize) throw new RangeError(`map ${this.name} holds ${this.#valueSize} bytes, not ${value.length}`);
    this.#call(BPF_MAP_UPDATE_ELEM, key, value, `bpf(BPF_MAP_UPDATE_ELEM ${this.name})`);
  }

  /** False when there was no such key. */
  delete(key: Uint8Array): boolean {
    try {
      this.#call(BPF_MAP_DELETE_ELEM, key, undefined, `bpf(BPF_MAP_DELETE_ELEM ${this.name})`);
      return true;
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "ENOENT") return false;
      throw error;
    }
  }

  /** Reads into `into`, which must have room for the value (for a per-CPU map: rounded up to 8 bytes, times the possible CPUs). */
  read(key: Uint8Array, into: Buffer): boolean {
    try {
      this.#call(BPF_MAP_LOOKUP_ELEM, key, into, `bpf(BPF_MAP_LOOKUP_ELEM ${this.name})`);
      return true;
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "ENOENT") return false;
      throw error;
    }
  }

  close(): void {
    libc.close(this.fd);
  }

  #call(command: number, key: Uint8Array, value: Uint8Array | undefined, what: string): void {
    this.#element.writeUInt32LE(this.fd, 0);
    this.#element.writeBigUInt64LE(pointerTo(key), 8);
    this.#element.writeBigUInt64LE(value ? pointerTo(value) : 0n, 16);
    this.#element.writeBigUInt64LE(0n, 24);
    bpf(command, this.#element, what);
  }
}

/**
 * Loads a classifier program with its maps filled in and returns its file descriptor. When the verifier refuses it, the error ends with
 * the verifier's last lines.
 */
export function loadClassifier(program: BpfProgram, maps: ReadonlyMap<string, BpfMap>): number {
  const code = Buffer.from(program.code);
  for (const { at, symbol } of program.mapReferences) {
    const map = maps.get(symbol);
    if (!map) throw new Error(`program ${program.name} wants a map ${symbol} that does not exist`);
    code[at + 1] = ((code[at + 1] as number) & 0x0f) | (BPF_PSEUDO_MAP_FD << 4);
    code.writeInt32LE(map.fd, at + 4);
  }
  const license = Buffer.from("GPL\0");
  const log = Buffer.alloc(1 << 20);
  const load = (withLog: boolean): number => {
    const attributes = Buffer.alloc(128);
    attributes.writeUInt32LE(BPF_PROG_TYPE_SCHED_CLS, 0);
    attributes.writeUInt32LE(code.length / 8, 4);
    attributes.writeBigUInt64LE(pointerTo(code), 8);
    attributes.writeBigUInt64LE(pointerTo(license), 16);
    if (withLog) {
      attributes.writeUInt32LE(1, 24);
      attributes.writeUInt32LE(log.length, 28);
      attributes.writeBigUInt64LE(pointerTo(log), 32);
    }
    attributes.write(program.name.slice(0, 15), 48, "latin1");
    return bpf(BPF_PROG_LOAD, attributes, `bpf(BPF_PROG_LOAD ${program.name})`);
  };
  try {
    return load(false);
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.code === "EPERM") throw error;
    try {
      return load(true);
    } catch {
      const text = log.toString("latin1", 0, Math.max(0, log.indexOf(0)));
      throw new Error(`${error.message}: the verifier says:\n${text.slice(-2000)}`, { cause: error });
    }
  }
}

/** Attaches a program by a link that ends with its file descriptor (Linux 6.6+); undefined where the kernel does not know how. */
export function attachTcx(program: number, device: number, hook: "ingress" | "egress"): number | undefined {
  const attributes = Buffer.alloc(48);
  attributes.writeUInt32LE(program, 0);
  attributes.writeUInt32LE(device, 4);
  attributes.writeUInt32LE(hook === "ingress" ? BPF_TCX_INGRESS : BPF_TCX_EGRESS, 8);
  try {
    return bpf(BPF_LINK_CREATE, attributes, `bpf(BPF_LINK_CREATE ${hook})`);
  } catch (error) {
    if (error instanceof SystemCallError && ["EINVAL", "EOPNOTSUPP", "ENOTSUP"].includes(error.code)) return undefined;
    throw error;
  }
}
