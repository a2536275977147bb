import { join } from "node:path";
import { buildElectronShell } from "../../../src-main/shells/electron/build.ts";

/** The product's Electron shell, and the same with a simulated manager. */
export const productShell = join(import.meta.dirname, "../../../out/electron");
export const simulatedShell = join(import.meta.dirname, "../../../out/electron-e2e");

/** Once before all end-to-end tests. */
export default async function setup(): Promise<void> {
  await buildElectronShell(undefined, productShell);
  await buildElectronShell(join(import.meta.dirname, "../electron-stand-in/main.ts"), simulatedShell);
}
