import { serveParent } from "../../../src-main/shells/electron/serve-parent.ts";
import { MemoryBackend } from "../../../src-renderer/backend/memory/backend.ts";
import { memoryOptions } from "../../../src-renderer/backend/memory/options.ts";

/** The simulated manager of the Electron shell under test. */
await serveParent(new MemoryBackend(memoryOptions(process.env.STAND_IN_LAB ?? "")), process, (what) => process.stderr.write(`defect: ${what}\n`));
process.exit();
