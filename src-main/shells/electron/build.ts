import { join } from "node:path";
import { rolldown } from "rolldown";

const here = import.meta.dirname;

/** Bundles a main script to `folder`/main.mjs and the preload script to `folder`/preload.cjs (a sandboxed one must be CommonJS). Both are small: the manager is a process of its own. */
export async function buildElectronShell(entry = join(here, "main.ts"), folder = join(here, "../../../out/electron")): Promise<void> {
  const main = await rolldown({ input: entry, platform: "node", external: ["electron"] });
  await main.write({ file: join(folder, "main.mjs"), format: "esm" });
  await main.close();
  const preload = await rolldown({ input: join(here, "preload.ts"), platform: "browser", external: ["electron"] });
  await preload.write({ file: join(folder, "preload.cjs"), format: "cjs" });
  await preload.close();
}

if (import.meta.main) await buildElectronShell();
