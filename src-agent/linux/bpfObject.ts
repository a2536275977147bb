/** A program section of a compiled BPF object, before its maps are filled in. */
export interface BpfProgram {
  readonly name: string;
  /** 8-byte instructions. */
  readonly code: Buffer;
  /** Where an instruction loads a map's address, and which map. */
  readonly mapReferences: readonly { readonly at: number; readonly symbol: string }[];
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly data: Buffer;
  readonly link: number;
  readonly info: number;
  readonly executable: boolean;
}

const SHT_PROGBITS = 1;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SHT_REL = 9;
const SHF_EXECINSTR = 4n;
const EM_BPF = 247;

/**
 * Reads the programs of a little-endian 64-bit BPF ELF object as clang writes it: one program per executable section, maps as undefined or
 * data symbols that a relocation names. Throws when the bytes are something else.
 */
export function parseBpfObject(bytes: Buffer): BpfProgram[] {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) throw new Error("not a little-endian 64-bit ELF object");
  if (bytes.readUInt16LE(18) !== EM_BPF) throw new Error("not a BPF object");
  const sections = readSections(bytes);
  const symbols = readSymbols(sections);
  return sections.flatMap((section, index) => {
    if (section.type !== SHT_PROGBITS || !section.executable || section.data.length === 0) return [];
    const relocations = sections.filter((other) => other.type === SHT_REL && other.info === index);
    const mapReferences = relocations.flatMap(({ data }) =>
      Array.from({ length: data.length / 16 }, (_, i) => {
        const symbol = symbols[Number(data.readBigUInt64LE(16 * i + 8) >> 32n)];
        if (!symbol) throw new Error(`section ${section.name} refers to a symbol that does not exist`);
        return { at: Number(data.readBigUInt64LE(16 * i)), symbol };
      }),
    );
    return [{ name: section.name, code: section.data, mapReferences }];
  });
}

function readSections(bytes: Buffer): Section[] {
  const start = Number(bytes.readBigUInt64LE(40));
  const size = bytes.readUInt16LE(58);
  const names = bytes.readUInt16LE(62);
  const raw = Array.from({ length: bytes.readUInt16LE(60) }, (_, i) => {
    const at = start + i * size;
    const type = bytes.readUInt32LE(at + 4);
    const offset = Number(bytes.readBigUInt64LE(at + 24));
    const length = type === SHT_NOBITS ? 0 : Number(bytes.readBigUInt64LE(at + 32));
    return {
      nameAt: bytes.readUInt32LE(at),
      type,
      executable: (bytes.readBigUInt64LE(at + 8) & SHF_EXECINSTR) !== 0n,
      data: bytes.subarray(offset, offset + length),
      link: bytes.readUInt32LE(at + 40),
      info: bytes.readUInt32LE(at + 44),
    };
  });
  const nameTable = raw[names]?.data ?? Buffer.alloc(0);
  return raw.map((section) => ({ ...section, name: textAt(nameTable, section.nameAt) }));
}

function readSymbols(sections: readonly Section[]): string[] {
  const table = sections.find((section) => section.type === SHT_SYMTAB);
  if (!table) return [];
  const names = sections[table.link]?.data ?? Buffer.alloc(0);
  return Array.from({ length: table.data.length / 24 }, (_, i) => textAt(names, table.data.readUInt32LE(24 * i)));
}

function textAt(table: Buffer, at: number): string {
  const end = table.indexOf(0, at);
  return table.toString("latin1", at, end < 0 ? table.length : end);
}
