import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createGzip } from "node:zlib";
import { z } from "zod";
import { exitCodes, Problem } from "../../problem.ts";

const root = resolve(import.meta.dirname, "../../..");

const manifestFile = z.object({ version: z.string(), architectures: z.array(z.string()), files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)) });

/** The agent as it is shipped: what scripts/build-agent.mjs leaves in out/agent. */
export interface Bundle {
  readonly version: string;
  /** Names its content: the SHA-256 of the manifest, which has those of all files. */
  readonly digest: string;
  readonly architectures: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  /** All files in one gzipped tar archive. */
  archive(): Promise<Buffer>;
}

/** Reads the built agent. Throws Problem `agent.notBuilt`. */
export async function loadBundle(directory = join(root, "out/agent")): Promise<Bundle> {
  const path = join(directory, "manifest.json");
  try {
    const text = await readFile(path);
    let packed: Promise<Buffer> | undefined;
    return {
      ...manifestFile.parse(JSON.parse(text.toString())),
      digest: createHash("sha256").update(text).digest("hex"),
      archive: () => (packed ??= pack(directory)),
    };
  } catch (error) {
    throw new Problem({ code: "agent.notBuilt", what: `the agent is not built (${path})`, remedy: "Start through npm start, or run: node scripts/build-agent.mjs", exitCode: exitCodes.environment, cause: error });
  }
}

/** Packs with the system's tar, which every Linux and macOS has. */
async function pack(directory: string): Promise<Buffer> {
  const tar = spawn("tar", ["--owner=0", "--group=0", "-C", directory, "-cf", "-", "."], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, COPYFILE_DISABLE: "1" } });
  const chunks: Buffer[] = [];
  let said = "";
  tar.stderr.on("data", (chunk) => (said += chunk));
  const ended = new Promise<number | null>((done, fail) => tar.once("close", done).once("error", fail));
  for await (const chunk of tar.stdout.pipe(createGzip({ level: 6 }))) chunks.push(chunk as Buffer);
  if ((await ended) !== 0) throw new Problem({ code: "agent.notPacked", what: `the agent could not be packed: ${said.trim()}`, remedy: "Check the tar program on this machine.", exitCode: exitCodes.environment });
  return Buffer.concat(chunks);
}

/** Our Node for hosts without one: the program that npm brought for that architecture. Undefined when there is none. */
export function ourNode(architecture: string): string | undefined {
  const path = join(root, `node_modules/node-linux-${architecture}/bin/node`);
  return existsSync(path) ? path : undefined;
}

const packedNodes = new Map<string, Promise<{ readonly digest: string; readonly gzip: Buffer }>>();

/** Our Node, gzipped, and the SHA-256 of the program itself. Kept, so that a fleet packs it once. */
export function packNode(path: string): Promise<{ readonly digest: string; readonly gzip: Buffer }> {
  const packed = packedNodes.get(path) ?? compress(path);
  packedNodes.set(path, packed);
  return packed;
}

async function compress(path: string): Promise<{ digest: string; gzip: Buffer }> {
  const hash = createHash("sha256");
  const source = createReadStream(path, { highWaterMark: 1 << 20 });
  source.on("data", (chunk) => hash.update(chunk));
  const chunks: Buffer[] = [];
  for await (const chunk of source.pipe(createGzip({ level: 3 }))) chunks.push(chunk as Buffer);
  return { digest: hash.digest("hex"), gzip: Buffer.concat(chunks) };
}
