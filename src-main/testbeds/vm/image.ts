import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { exitCodes, Problem } from "../../problem.ts";
import { cacheFolder } from "../local/folders.ts";
import { releaseName } from "../local/packages.ts";
import { recipeDigest } from "./imageContents.ts";

const project = resolve(import.meta.dirname, "../../..");

/** image.json: what an image was made from. */
export const imageRecord = z.object({
  version: z.literal(1),
  recipe: z.string(),
  /** Such as 6.1.0-57-cloud-amd64. */
  kernel: z.string(),
  node: z.string(),
  /** Name and version of every package in it. */
  packages: z.array(z.string()),
  /** Wall-clock ms since 1970. */
  builtAt: z.number(),
});
export type ImageRecord = z.infer<typeof imageRecord>;

/** A virtual machine's disk and kernel, in our cache; never written to once it is there. */
export interface Image {
  /** Names its content. */
  readonly key: string;
  readonly path: string;
  readonly record: ImageRecord;
}

export const kernelFile = (image: Pick<Image, "path">) => join(image.path, "vmlinuz");
export const diskFile = (image: Pick<Image, "path">) => join(image.path, "root.ext4");
export const recordFile = (image: Pick<Image, "path">) => join(image.path, "image.json");

export function imagesFolder(): string {
  return join(cacheFolder(), "images");
}

/** The Node that goes into images, as npm brought it. Throws Problem `vm.architecture` where there is none, or no image for this machine's processor. */
export async function imageNode(): Promise<{ readonly program: string; readonly version: string }> {
  const folder = join(project, `node_modules/node-linux-${process.arch}`);
  const text = process.arch === "x64" ? await readFile(join(folder, "package.json"), "utf8").catch(() => undefined) : undefined;
  if (text === undefined) throw new Problem({ code: "vm.architecture", what: `virtual machines are made for x86-64 only, this machine is ${process.arch}`, remedy: "Use testbed local, or a fleet.", exitCode: exitCodes.environment });
  return { program: join(folder, "bin/node"), version: (JSON.parse(text) as { version: string }).version };
}

/** What an image has to be made of to be of use to this version of ours on this machine. */
export async function currentRecipe(): Promise<string> {
  const release = await releaseName();
  return recipeDigest(release ?? "none", (await imageNode()).version);
}

/** All images in the cache, newest first. */
export async function listImages(): Promise<Image[]> {
  const names = await readdir(imagesFolder()).catch(() => []);
  const found = await Promise.all(names.filter((name) => !name.startsWith(".")).map((name) => readImage(name)));
  return found.filter((image) => image !== undefined).sort((a, b) => b.record.builtAt - a.record.builtAt);
}

async function readImage(key: string): Promise<Image | undefined> {
  const path = join(imagesFolder(), key);
  try {
    const record = imageRecord.parse(JSON.parse(await readFile(recordFile({ path }), "utf8")));
    await Promise.all([stat(kernelFile({ path })), stat(diskFile({ path }))]);
    return { key, path, record };
  } catch {
    return undefined; // not ours, or half removed
  }
}

/** The newest image that fits this version of ours. Throws Problem `vm.noImage`. */
export async function currentImage(): Promise<Image> {
  const recipe = await currentRecipe();
  const images = await listImages();
  const fitting = images.find((image) => image.record.recipe === recipe);
  if (fitting) return fitting;
  const what = images.length > 0 ? "the image for virtual machines is of another version of Anycast Lab or Debian" : "there is no image for virtual machines yet";
  throw new Problem({ code: "vm.noImage", what, remedy: "Make it once (about a minute): npm start -- lab image build", exitCode: exitCodes.environment });
}

/** Removes images that this version of ours does not use, or all; their keys. Machines that run from one go on. */
export async function removeImages(which: "unused" | "all"): Promise<string[]> {
  const used = which === "all" ? undefined : (await currentImage().catch(() => undefined))?.key;
  const removed = (await listImages()).filter((image) => image.key !== used);
  await Promise.all(removed.map((image) => rm(image.path, { recursive: true, force: true })));
  return removed.map((image) => image.key);
}
