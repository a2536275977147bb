import { asProblem } from "../../src-main/problem.ts";
import { labDown, labUp } from "../../src-main/testbeds/local/labs.ts";

/** A manager process of its own for tests: `labRunner.ts up FILE NAME [rootless|attached]` (attached: then waits to be killed) or `down NAME`. Says progress line by line, then a line of JSON. */
const [command, ...args] = process.argv.slice(2);
try {
  if (command === "up") {
    const [file, name, how] = args as [string, string, string | undefined];
    const lab = await labUp(file, { name, ...(how === "rootless" && { rootless: true }), attached: how === "attached", progress: (what) => console.log(what) });
    console.log(JSON.stringify({ ok: true, rootless: lab.rootless }));
    if (how === "attached") setInterval(() => {}, 60_000);
  } else {
    await labDown(args[0] as string);
    console.log(JSON.stringify({ ok: true }));
  }
} catch (error) {
  console.log(JSON.stringify({ ok: false, ...asProblem(error).toJSON() }));
  process.exitCode = 1;
}
