// Run after `npm install`: npm leaves optional packages that it could not fetch for this platform out of package-lock.json, and `npm ci` then fails on
// others. Puts them back from their parents' optionalDependencies; name and version suffice.
import { readFileSync, writeFileSync } from "node:fs";

const file = process.argv[2] ?? "package-lock.json";
const lock = JSON.parse(readFileSync(file, "utf8"));
const systems = ["darwin", "win32", "linux", "freebsd", "openbsd", "netbsd", "android", "aix", "sunos", "openharmony"];
const processors = ["arm64", "x64", "ia32", "arm", "ppc64", "s390x", "riscv64", "loong64", "mips64el", "wasm32"];

/** Where node resolves `name` from the package at `from`, among the lock's entries. */
function resolves(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${at ? `${at}/` : ""}node_modules/${name}`]) return true;
    if (!at) return false;
    if (!at.includes("/node_modules/")) at = "";
    if (!at && lock.packages[`node_modules/${name}`]) return true;
    if (!at) return false;
  }
}

let added = 0;
for (const [from, entry] of Object.entries({ ...lock.packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolves(from, name) || !/^\d/.test(version)) continue;
    const words = name.split(/[/-]/);
    const os = words.find((w) => systems.includes(w));
    const cpu = processors.find((c) => words.includes(c));
    if (!os && !cpu) continue;
    lock.packages[`node_modules/${name}`] = { version, ...(entry.dev || from === "" ? { dev: true } : {}), optional: true, ...(cpu && { cpu: [cpu] }), ...(os && { os: [os] }) };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} optional packages put back`);
