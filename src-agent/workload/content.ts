import { createCipheriv, createHash } from "node:crypto";
import { open, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { createReadStream } from "node:fs";

/** All copies of a generated file carry this time, so that servers that make an ETag of time and size give them all the same one. */
const fileTime = new Date("2006-06-05T00:00:00Z");
const pieceLength = 1 << 20;

/** `bytes` bytes that follow from `seed` alone: the key stream of AES-128-CTR. */
export function* content(seed: string, bytes: number): Generator<Buffer> {
  const stream = createCipheriv("aes-128-ctr", createHash("sha256").update(seed).digest().subarray(0, 16), Buffer.alloc(16));
  const zeros = Buffer.alloc(pieceLength);
  for (let left = bytes; left > 0; left -= pieceLength) yield stream.update(zeros.subarray(0, Math.min(left, pieceLength)));
}

/** Writes such a file and returns its SHA-256. One that lies there already, whole and from the same seed, is kept. */
export async function makeFile(path: string, seed: string, bytes: number): Promise<string> {
  const note = `${path}.sha256`;
  const wanted = `${seed} ${bytes} `;
  const [there, said] = await Promise.all([stat(path).catch(() => null), readFile(note, "utf8").catch(() => "")]);
  if (there?.size === bytes && there.mtimeMs === fileTime.getTime() && said.startsWith(wanted)) return said.slice(wanted.length).trim();
  const hash = createHash("sha256");
  const part = `${path}.part`;
  const file = await open(part, "w", 0o644);
  try {
    for (const piece of content(seed, bytes)) {
      hash.update(piece);
      await file.writeFile(piece);
    }
  } finally {
    await file.close();
  }
  await utimes(part, fileTime, fileTime);
  await rename(part, path);
  const sha256 = hash.digest("hex");
  await writeFile(note, `${wanted}${sha256}\n`);
  return sha256;
}

/** SHA-256 of a file, hexadecimal. */
export async function fileHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
