// Bundles what is shipped to hosts into out/agent: the agent, its services, the data plane's worker, its tc programs, koffi with its native part,
// and a manifest of checksums. Plain JavaScript on the pinned Node.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const out = join(root, "out/agent");

/** Newest change among the sources of the bundle, ms since 1970. */
function newest(...paths) {
  let latest = 0;
  for (const path of paths) {
    const stat = statSync(join(root, path));
    if (stat.isDirectory()) for (const name of readdirSync(join(root, path))) latest = Math.max(latest, newest(join(path, name)));
    else if (!path.endsWith(".spec.ts")) latest = Math.max(latest, stat.mtimeMs);
  }
  return latest;
}

/** Whether out/agent is as new as its sources. */
export function agentIsBuilt() {
  const manifest = join(out, "manifest.json");
  return existsSync(manifest) && statSync(manifest).mtimeMs >= newest("src-agent", "src-adapter", "src-shared/protocol", "src-shared/net", "src-shared/bytes", "src-shared/api", "package-lock.json", "scripts/build-agent.mjs");
}

export async function buildAgent() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const bundle = await rolldown({
    cwd: root,
    platform: "node",
    external: ["koffi"],
    input: { agent: "src-agent/main.ts", adapter: "src-adapter/main.ts", "dataplane-worker": "src-agent/dataplane/userspace/worker.ts" },
  });
  await bundle.write({ dir: out, format: "esm", entryFileNames: "[name].mjs", chunkFileNames: "shared-[hash].mjs", sourcemap: false });
  cpSync(join(root, "src-agent/dataplane/ebpf/mobility.bpf.o"), join(out, "mobility.bpf.o"));
  const architectures = copyKoffi();
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const files = Object.fromEntries(filesBelow(out).map((file) => [file, createHash("sha256").update(readFileSync(join(out, file))).digest("hex")]));
  writeFileSync(join(out, "manifest.json"), `${JSON.stringify({ version, architectures, files }, null, 1)}\n`);
}

/** koffi's JavaScript and the native part of each architecture that npm has installed. Returns those. */
function copyKoffi() {
  const from = join(root, "node_modules/koffi");
  const to = join(out, "node_modules/koffi");
  for (const file of ["package.json", "index.js", "src/koffi/index.js", "src/koffi/src/static.js", "LICENSE.txt"]) cpSync(join(from, file), join(to, file), { recursive: true });
  return ["x64", "arm64"].filter((arch) => {
    const native = join(root, "node_modules/@koromix", `koffi-linux-${arch}`);
    if (!existsSync(native)) return false;
    for (const file of ["package.json", "index.js", `linux_${arch}`]) cpSync(join(native, file), join(out, "node_modules/@koromix", `koffi-linux-${arch}`, file), { recursive: true });
    return true;
  });
}

function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--force") || !agentIsBuilt()) await buildAgent();
}
