import { readFile, rename, stat, writeFile } from "node:fs/promises";
import type { KnownHost } from "./known-hosts.ts";

/** Takes these entries out of their known_hosts files, on purpose. Everything else in the files stays, byte for byte. */
export async function forgetHostKeys(entries: readonly KnownHost[]): Promise<void> {
  for (const file of new Set(entries.map((entry) => entry.file))) {
    const own = entries.filter((entry) => entry.file === file);
    const lines = (await readFile(file, "utf8")).split("\n");
    // A line is taken out only while it still holds the key that was judged.
    const left = lines.filter((line, index) => !own.some((entry) => entry.line === index + 1 && line.includes(entry.key.blob.toString("base64"))));
    if (left.length === lines.length) continue;
    const { mode } = await stat(file);
    await writeFile(`${file}.part`, left.join("\n"), { mode: mode & 0o777 });
    await rename(`${file}.part`, file);
  }
}
