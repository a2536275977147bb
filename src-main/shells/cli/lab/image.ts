import { stat } from "node:fs/promises";
import { exitCodes } from "../../../problem.ts";
import { probeKvm } from "../../../testbeds/vm/accelerator.ts";
import { currentImage, diskFile, listImages, removeImages, type Image } from "../../../testbeds/vm/image.ts";
import { buildImage } from "../../../testbeds/vm/imageBuild.ts";
import { print, printJson, progressLine, table, type CommonOptions } from "../output.ts";

export interface ImageBuildOptions extends CommonOptions {
  readonly force?: boolean;
  readonly probeKvm?: boolean;
}

/** `lab image build`: makes the image for virtual machines unless it is there. */
export async function imageBuildCommand(options: ImageBuildOptions): Promise<number> {
  const startedAt = performance.now();
  const line = progressLine();
  try {
    const { image, built } = await buildImage({ ...(options.force && { force: true }), progress: (what) => line.show(what) });
    if (options.probeKvm) line.show("trying hardware virtualisation");
    const probe = options.probeKvm ? await probeKvm(image) : undefined;
    line.end();
    const seconds = (performance.now() - startedAt) / 1000;
    const bytes = await allocated(image);
    if (options.json) {
      printJson({ ok: true, image: image.key, path: image.path, built, kernel: image.record.kernel, node: image.record.node, packages: image.record.packages.length, bytes, seconds: Number(seconds.toFixed(3)), ...(probe && { kvm: probe }) });
      return exitCodes.ok;
    }
    print(`image ${image.key}: Linux ${image.record.kernel}, Node ${image.record.node}, ${image.record.packages.length} packages, ${Math.round(bytes / 1e6)} MB; ${built ? `made in ${seconds.toFixed(1)} s` : "it was there already"}`);
    if (probe) print(probe.works ? `hardware virtualisation works (booted in ${probe.seconds.toFixed(1)} s): machines use it from now on` : `hardware virtualisation does not work (${probe.reason}): machines are emulated`);
    return exitCodes.ok;
  } finally {
    line.end();
  }
}

/** `lab image list`: what is in the cache; the one in use is marked. */
export async function imageListCommand(options: CommonOptions): Promise<number> {
  const used = (await currentImage().catch(() => undefined))?.key;
  const images = await Promise.all((await listImages()).map(async (image) => ({ key: image.key, kernel: image.record.kernel, node: image.record.node, builtAt: new Date(image.record.builtAt).toISOString(), bytes: await allocated(image), used: image.key === used })));
  if (options.json) printJson({ images });
  else print(images.length === 0 ? "no image; make one with: npm start -- lab image build" : table([["image", "kernel", "Node", "made", "size", ""], ...images.map((i) => [i.key, i.kernel, i.node, i.builtAt, `${Math.round(i.bytes / 1e6)} MB`, i.used ? "in use" : "not used by this version"])]));
  return exitCodes.ok;
}

/** `lab image clear [--all]`. */
export async function imageClearCommand(options: CommonOptions & { readonly all?: boolean }): Promise<number> {
  const removed = await removeImages(options.all ? "all" : "unused");
  if (options.json) printJson({ ok: true, removed });
  else print(removed.length === 0 ? "nothing to remove" : `removed ${removed.join(", ")}`);
  return exitCodes.ok;
}

/** What it takes on disk: a file system image has holes. */
async function allocated(image: Image): Promise<number> {
  return (await stat(diskFile(image))).blocks * 512;
}
