import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Terminal as Xterm } from "@xterm/xterm";
import { computed, nextTick, onScopeDispose, type Ref, shallowRef, watch } from "vue";
import type { Terminal } from "../../../src-shared/api/app/terminal.ts";
import { useElementSize } from "../../composables/use-element-size.ts";
import { useConnection } from "../../stores/connection.ts";
import { useTerminals } from "../../stores/terminals.ts";

/** Drawn bytes are reported in lots of this size: often enough to keep output flowing, seldom enough to cost nothing. */
const reportBytes = 32 * 1024;
const colours = { background: "#12171d", foreground: "#dfe6ee", cursor: "#62b0ff", selectionBackground: "#2d4a68" };

/** One terminal on the screen: draws, types, fits, searches, and tells how much it has drawn, so that a flood never fills memory. */
export function useScreen(box: Ref<HTMLElement | null>, terminal: () => Terminal, shown: () => boolean) {
  const { api } = useConnection();
  const connection = useConnection();
  const terminals = useTerminals();
  const id = terminal().id;
  const size = useElementSize(box);
  const searching = computed(() => terminals.searching && shown());
  const query = shallowRef("");
  const found = shallowRef("");
  const xterm = new Xterm({ theme: colours, fontFamily: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace", fontSize: 13, scrollback: 10_000, cursorBlink: false, allowProposedApi: true, screenReaderMode: false, linkHandler: { activate: () => undefined, allowNonHttpProtocols: false } });
  const fit = new FitAddon();
  const search = new SearchAddon();
  let detach: (() => void) | null = null;
  let drawn = 0;

  function report(bytes: number): void {
    drawn += bytes;
    if (drawn < reportBytes) return;
    terminals.consumed(id, drawn);
    drawn = 0;
  }
  const write = (data: Uint8Array) => xterm.write(data, () => report(data.length));
  const send = (data: Uint8Array) => void api.call("terminal.write", { terminal: id, data }).catch(() => undefined);

  // A host must not rename our window, read or write the clipboard, or have its title shown as ours.
  for (const code of [0, 1, 2, 52]) xterm.parser.registerOscHandler(code, () => true);
  xterm.onData((text) => send(new TextEncoder().encode(text)));
  xterm.onBinary((text) => send(Uint8Array.from(text, (char) => char.charCodeAt(0))));
  xterm.onResize(({ cols, rows }) => void api.call("terminal.resize", { terminal: id, columns: cols, rows }).catch(() => undefined));
  search.onDidChangeResults(({ resultIndex, resultCount }) => (found.value = resultCount === 0 ? "nothing" : `${resultIndex + 1} of ${resultCount}`));
  xterm.attachCustomKeyEventHandler((event) => {
    if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
    if (event.code === "KeyC" && xterm.hasSelection()) void navigator.clipboard.writeText(xterm.getSelection());
    else if (event.code === "KeyV") void navigator.clipboard.readText().then((text) => xterm.paste(text), () => undefined);
    else return event.code !== "KeyF" && event.code !== "KeyK";
    event.preventDefault();
    return false;
  });

  async function attach(): Promise<void> {
    detach?.();
    detach = await terminals.attach(id, xterm.cols, xterm.rows, write).catch(() => null);
  }

  watch(box, (element) => {
    if (!element || xterm.element) return;
    xterm.loadAddon(fit);
    xterm.loadAddon(search);
    xterm.open(element);
    void attach();
  }, { flush: "post", immediate: true });
  watch([size, shown], async () => {
    if (!shown() || size.value.width === 0) return;
    await nextTick();
    fit.fit();
    if (!searching.value) xterm.focus();
  }, { flush: "post", immediate: true });
  // After a reconnection the manager sends the scrollback anew.
  watch(() => connection.state.is, (is) => {
    if (is !== "open" || !detach) return;
    xterm.reset();
    drawn = 0;
    void attach();
  });
  watch(query, () => find(1));
  onScopeDispose(() => {
    detach?.();
    xterm.dispose();
  });

  function find(way: 1 | -1): void {
    const options = { incremental: way === 1, decorations: { matchOverviewRuler: "#62b0ff", activeMatchColorOverviewRuler: "#e9b44c", matchBackground: "#2d4a68", activeMatchBackground: "#7a5b12" } };
    if (way === 1) search.findNext(query.value, options);
    else search.findPrevious(query.value, options);
  }

  return {
    searching,
    query,
    found,
    find,
    search: async (field: HTMLInputElement | null) => {
      terminals.searching = true;
      await nextTick();
      field?.focus();
    },
    endSearch: () => {
      terminals.searching = false;
      search.clearDecorations();
      xterm.focus();
    },
  };
}
