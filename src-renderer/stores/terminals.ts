import { defineStore } from "pinia";
import { shallowRef } from "vue";
import type { Terminal } from "../../src-shared/api/app/terminal.ts";
import { useConnection } from "./connection.ts";
import { useLab } from "./lab.ts";
import { useNotices } from "./notices.ts";
import { usePlace } from "./place.ts";

/** The tabs. What a terminal prints before it is drawn is kept for it. */
export const useTerminals = defineStore("terminals", () => {
  const { api, onReady } = useConnection();
  const lab = useLab();
  const place = usePlace();
  const notices = useNotices();
  const tabs = shallowRef<readonly Terminal[]>([]);
  const active = shallowRef<string | null>(null);
  /** Whether the terminal in front shows its search field. */
  const searching = shallowRef(false);
  const screens = new Map<string, (data: Uint8Array) => void>();
  const early = new Map<string, Uint8Array[]>();

  const change = (terminal: Terminal) => (tabs.value = tabs.value.map((tab) => (tab.id === terminal.id ? terminal : tab)));
  const consumed = (terminal: string, bytes: number) => void api.call("terminal.consumed", { terminal, bytes }).catch(() => undefined);

  api.on("terminal.changed", change);
  api.on("terminal.data", ({ terminal, data }) => {
    const screen = screens.get(terminal);
    if (screen) screen(data);
    else early.set(terminal, [...(early.get(terminal) ?? []), data]);
  });

  onReady(async () => {
    const there = await api.call("terminal.list", {}).catch(() => []);
    tabs.value = there;
    if (!there.some((tab) => tab.id === active.value)) active.value = there[0]?.id ?? null;
  });

  async function openOn(host: string): Promise<void> {
    try {
      const terminal = await api.call("terminal.open", { lab: lab.openId ?? "", host, columns: 80, rows: 24 });
      tabs.value = [...tabs.value, terminal];
      active.value = terminal.id;
      fresh.add(terminal.id);
      place.go("terminal");
    } catch (error) {
      notices.failed("The terminal could not be opened", error);
    }
  }
  /** Opened by this window: its output comes by itself. Others have to be attached to. */
  const fresh = new Set<string>();

  /** Connects a drawn terminal to its output. Answers the function that disconnects it. */
  async function attach(id: string, columns: number, rows: number, write: (data: Uint8Array) => void): Promise<() => void> {
    if (fresh.has(id)) await api.call("terminal.resize", { terminal: id, columns, rows });
    else write((await api.call("terminal.attach", { terminal: id, columns, rows })).scrollback);
    fresh.delete(id);
    for (const data of early.get(id) ?? []) write(data);
    early.delete(id);
    screens.set(id, write);
    return () => void screens.delete(id);
  }

  async function close(id: string): Promise<void> {
    const at = tabs.value.findIndex((tab) => tab.id === id);
    tabs.value = tabs.value.filter((tab) => tab.id !== id);
    if (active.value === id) active.value = tabs.value[Math.max(0, at - 1)]?.id ?? null;
    early.delete(id);
    await api.call("terminal.close", { terminal: id }).catch(() => undefined);
  }

  /** A new shell on the host of one that is lost, in its place. */
  async function reopen(id: string): Promise<void> {
    const old = tabs.value.find((tab) => tab.id === id);
    if (!old) return;
    try {
      const terminal = await api.call("terminal.open", { lab: lab.openId ?? "", host: old.host, columns: 80, rows: 24 });
      fresh.add(terminal.id);
      tabs.value = tabs.value.map((tab) => (tab.id === id ? terminal : tab));
      active.value = terminal.id;
      await api.call("terminal.close", { terminal: id }).catch(() => undefined);
    } catch (error) {
      notices.failed("The terminal could not be opened again", error);
    }
  }

  return { tabs, active, searching, openOn, attach, close, reopen, consumed };
});
