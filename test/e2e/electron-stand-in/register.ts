import { registerHooks } from "node:module";

/** `node --import register.ts main.mjs` runs a built main script with the stand-in in place of Electron. It ends with the test that started it. */
const url = new URL("./electron.ts", import.meta.url).href;
registerHooks({ resolve: (specifier, context, next) => (specifier === "electron" ? { url, shortCircuit: true } : next(specifier, context)) });
process.once("disconnect", () => process.exit(1));
