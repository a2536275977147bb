import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

/** Builds the window (src-renderer) into out/renderer. `--mode memory` builds one with a simulated lab inside instead of a manager. */
export default defineConfig(({ mode }) => ({
  root: "src-renderer",
  base: "./",
  plugins: [vue()],
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
  build: {
    outDir: mode === "memory" ? "../out/renderer-memory" : "../out/renderer",
    emptyOutDir: true,
    target: "chrome140",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 800,
  },
}));
