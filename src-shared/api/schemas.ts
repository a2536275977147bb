import { z } from "zod";
import { fleetFileJsonSchema } from "./fleet.ts";
import { labFileJsonSchema } from "./lab.ts";
import { scenarioFile } from "./scenario.ts";
import { eventLine, runDescription, runSummary } from "./summary.ts";

/** The JSON Schemas (2020-12) of our files, by the name of their file in assets/schemas: for editors, and for programs that read run folders. */
export function jsonSchemas(): Readonly<Record<string, Record<string, unknown>>> {
  return {
    "lab.schema.json": labFileJsonSchema(),
    "fleet.schema.json": fleetFileJsonSchema(),
    "scenario.schema.json": z.toJSONSchema(scenarioFile, { io: "input", reused: "ref" }) as Record<string, unknown>,
    "summary.schema.json": z.toJSONSchema(runSummary, { reused: "ref" }) as Record<string, unknown>,
    "run.schema.json": z.toJSONSchema(runDescription) as Record<string, unknown>,
    "event.schema.json": z.toJSONSchema(eventLine) as Record<string, unknown>,
  };
}
