import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const root = join(import.meta.dirname, "../../..");
/** Dependencies that are bundled into the window, and that no process of the manager imports. */
const windowOnly = /^(@vue-flow|@xterm|elkjs|pinia|reka-ui|uplot|vue)(\/|$)/;
const sources = ["src-main", "src-shared", "src-agent", "src-adapter", "assets"];

/** Puts all that the manager's process needs into `folder`, as it lies in the repository, without tests: what a packaged application carries beside its archive. */
export function stageManager(folder = join(root, "out/manager")): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of sources) cpSync(join(root, name), join(folder, name), { recursive: true, filter: (path) => !/\.spec\.ts$|\.md$/.test(path) });
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  if (existsSync(join(root, "out/agent"))) cpSync(join(root, "out/agent"), join(folder, "out/agent"), { recursive: true });
  for (const name of withDependencies(managerPackages())) cpSync(join(root, "node_modules", name), join(folder, "node_modules", name), { recursive: true, dereference: true, filter: (path) => basename(path) !== ".bin" });
}

/** What package.json says that we depend on, without what the window alone does, and the pinned Node. */
function managerPackages(): string[] {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies: object };
  return [...Object.keys(dependencies).filter((name) => !windowOnly.test(name)), `node-${process.platform}-${process.arch}`];
}

/** The packages and, in turn, what they depend on and is there. Throws when one that is asked for is not installed. */
function withDependencies(wanted: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (name: string, required: boolean): void => {
    if (found.has(name)) return;
    const file = join(root, "node_modules", name, "package.json");
    if (!existsSync(file)) {
      if (required) throw new Error(`${name} is not installed in ${dirname(dirname(file))}; run npm ci`);
      return;
    }
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(file, "utf8")) as { dependencies?: object; optionalDependencies?: object };
    for (const each of Object.keys(dependencies)) visit(each, !(each in optionalDependencies));
    for (const each of Object.keys(optionalDependencies)) visit(each, false);
  };
  for (const name of wanted) visit(name, true);
  return found;
}

if (import.meta.main) stageManager();
