import { check, libc, pointerTo } from "./libc.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const NAME_LENGTH = 32;

/** A device's offloads by their ethtool names (`tx-ipxip6-segmentation`, …). */
export class Offloads {
  readonly #device: string;

  constructor(device: string) {
    this.#device = device;
  }

  /** Whether the device does this now; false also for names this kernel does not know. */
  isOn(name: string): boolean {
    return this.#withSocket((fd) => {
      const { bit, words } = this.#find(fd, name);
      if (bit < 0) return false;
      const features = Buffer.alloc(8 + 16 * words);
      features.writeUInt32LE(ETHTOOL_GFEATURES, 0);
      features.writeUInt32LE(words, 4);
      this.#call(fd, features, "ETHTOOL_GFEATURES");
      return (features.readUInt32LE(8 + 16 * (bit >> 5) + 8) & (1 << (bit & 31))) !== 0;
    });
  }

  /** Turns one offload on or off. Needs CAP_NET_ADMIN. Nothing for names this kernel does not know. */
  set(name: string, on: boolean): void {
    this.#withSocket((fd) => {
      const { bit, words } = this.#find(fd, name);
      if (bit < 0) return;
      const features = Buffer.alloc(8 + 8 * words);
      features.writeUInt32LE(ETHTOOL_SFEATURES, 0);
      features.writeUInt32LE(words, 4);
      features.writeUInt32LE((1 << (bit & 31)) >>> 0, 8 + 8 * (bit >> 5));
      features.writeUInt32LE(on ? (1 << (bit & 31)) >>> 0 : 0, 12 + 8 * (bit >> 5));
      this.#call(fd, features, `ETHTOOL_SFEATURES ${name}`);
    });
  }

  #withSocket<T>(use: (fd: number) => T): T {
    const fd = check(libc.socket(AF_INET, SOCK_DGRAM | 0x80000, 0), "socket(AF_INET)");
    try {
      return use(fd);
    } finally {
      libc.close(fd);
    }
  }

  #find(fd: number, name: string): { bit: number; words: number } {
    const info = Buffer.alloc(24);
    info.writeUInt32LE(ETHTOOL_GSSET_INFO, 0);
    info.writeBigUInt64LE(1n << BigInt(ETH_SS_FEATURES), 8);
    this.#call(fd, info, "ETHTOOL_GSSET_INFO");
    const count = info.readUInt32LE(16);
    const strings = Buffer.alloc(12 + NAME_LENGTH * count);
    strings.writeUInt32LE(ETHTOOL_GSTRINGS, 0);
    strings.writeUInt32LE(ETH_SS_FEATURES, 4);
    strings.writeUInt32LE(count, 8);
    this.#call(fd, strings, "ETHTOOL_GSTRINGS");
    const names = Array.from({ length: count }, (_, i) => strings.toString("latin1", 12 + NAME_LENGTH * i, 12 + NAME_LENGTH * (i + 1)).replace(/\0.*$/s, ""));
    return { bit: names.indexOf(name), words: Math.ceil(count / 32) };
  }

  #call(fd: number, data: Buffer, what: string): void {
    const request = Buffer.alloc(40);
    request.write(this.#device, 0, 15, "latin1");
    request.writeBigUInt64LE(pointerTo(data), 16);
    check(libc.ioctl(fd, SIOCETHTOOL, request), `${what} on ${this.#device}`);
  }
}
