import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { exitCodes, Problem } from "../../problem.ts";
import { print, type CommonOptions } from "./output.ts";

const directory = resolve(import.meta.dirname, "../../../bench");

/** `bench NAME`: runs a benchmark in a process of its own; words after NAME go to it. Without a name, lists them. */
export async function benchCommand(name: string | undefined, words: readonly string[], options: CommonOptions): Promise<number> {
  const names = benchmarks();
  if (!name) {
    print(names.join("\n"));
    return exitCodes.ok;
  }
  if (!names.includes(name)) throw new Problem({ code: "bench.unknown", what: `there is no benchmark ${name}`, remedy: `There are: ${names.join(", ")}.`, exitCode: exitCodes.usage });
  const child = spawn(process.execPath, [join(directory, `${name}.ts`), ...(options.json ? ["--json"] : []), ...words], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? exitCodes.interrupted;
}

/** A benchmark is a program in bench/ whose usage has --json; the other files there are its parts. */
function benchmarks(): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(".ts") && /^ \* usage: .*--json/m.test(readFileSync(join(directory, file), "utf8")))
    .map((file) => file.slice(0, -3))
    .toSorted();
}
