import { buildImage } from "../../src-main/testbeds/vm/imageBuild.ts";
import { asProblem } from "../../src-main/problem.ts";
import { findQemu } from "../../src-main/testbeds/vm/qemu.ts";
import { whyNoLab } from "./lab.ts";

/** Why virtual machines cannot be tried here, or undefined. */
export function whyNoVm(): string | undefined {
  if (process.arch !== "x64") return "virtual machines are x86-64";
  try {
    findQemu();
    return whyNoLab();
  } catch (error) {
    return `${asProblem(error).message}; ${asProblem(error).remedy}`;
  }
}

/** The image, made now unless it is in the cache; undefined with the reason told where Debian's packages cannot be had. */
export async function imageOrReason(): Promise<string | undefined> {
  try {
    await buildImage({ progress: (what) => console.log(what) });
    return undefined;
  } catch (error) {
    const problem = asProblem(error);
    if (problem.code === "vm.packages") return problem.message;
    throw error;
  }
}
