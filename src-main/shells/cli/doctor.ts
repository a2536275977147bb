import type { PreflightLine } from "../../../src-shared/api/app/host.ts";
import { exitCodes } from "../../problem.ts";
import { examine } from "../../services/doctor.ts";
import { print, printJson, table, type CommonOptions } from "./output.ts";

/** `doctor`: what this machine has for labs and fleets. Exit code 3 when something needed is missing. */
export async function doctorCommand(options: CommonOptions): Promise<number> {
  const lines: readonly PreflightLine[] = await examine();
  const ok = lines.every((line) => line.ok !== "no");
  if (options.json) printJson({ ok, lines });
  else {
    const marks = { yes: "✓", warning: "!", no: "✗" };
    print(table(lines.map((line) => [marks[line.ok], line.check, line.detail, line.remedy ? `→ ${line.remedy}` : ""])));
  }
  return ok ? exitCodes.ok : exitCodes.environment;
}
