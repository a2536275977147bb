import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { jsonSchemas } from "./schemas.ts";

const folder = join(import.meta.dirname, "../../assets/schemas");

describe("committed JSON Schemas", () => {
  // After a wanted change: vitest run --project unit src-shared/api/schemas.spec.ts --update
  it.each(Object.entries(jsonSchemas()))("%s is what the code checks", async (name, schema) => {
    await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot(join(folder, name));
  });
});
