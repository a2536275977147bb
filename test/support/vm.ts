import { asProblem } from "../../src-main/problem.ts";
import { buildImage } from "../../src-main/testbeds/vm/imageBuild.ts";
import { findQemu } from "../../src-main/testbeds/vm/qemu.ts";
import { whyNoLab } from "./lab.ts";

/** Why virtual machines cannot be tried here, or undefined; then the image is there, made now unless it was in the cache. */
export async function whyNoVm(): Promise<string | undefined> {
  if (process.arch !== "x64") return "virtual machines are x86-64";
  try {
    findQemu();
    const noLab = whyNoLab();
    if (noLab) return noLab;
    await buildImage({ progress: (what) => console.log(what) });
    return undefined;
  } catch (error) {
    const { code, message, remedy } = asProblem(error);
    if (code === "vm.noQemu" || code === "vm.packages") return `${message}; ${remedy}`;
    throw error;
  }
}
