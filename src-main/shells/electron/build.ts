import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "../../..");

/** Bundles the main script (ES module) from `entry`, and the preload script (CommonJS), into `folder`. Native modules and Electron itself stay outside. */
export async function buildElectronShell(entry: string, folder = join(root, "out/electron")): Promise<void> {
  const external = ["electron", "koffi", "cpu-features", "bufferutil", "utf-8-validate", /\.node$/];
  const main = await rolldown({ input: entry, platform: "node", external });
  await main.write({ dir: folder, format: "esm", entryFileNames: "main.js", chunkFileNames: "[name]-[hash].js" });
  await main.close();
  const preload = await rolldown({ input: join(import.meta.dirname, "preload.ts"), platform: "browser", external: ["electron"] });
  await preload.write({ file: join(folder, "preload.cjs"), format: "cjs" });
  await preload.close();
}
