import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";

export const screens = ["topology", "fleet", "live", "runs", "terminal", "settings"] as const;
export type Screen = (typeof screens)[number];

/** What the side panel of the map shows. */
export type Selection = { readonly kind: "host" | "link" | "client" | "site"; readonly id: string } | null;

/** Where in the window we are: in the address, so that Back, reload and a second window work. */
export const usePlace = defineStore("place", () => {
  const hash = shallowRef(location.hash);
  addEventListener("hashchange", () => (hash.value = location.hash));
  const parts = computed(() => hash.value.replace(/^#\/?/, "").split("/").map(safeDecode));
  const screen = computed<Screen>(() => screens.find((name) => name === parts.value[0]) ?? "topology");
  /** The handoff, run or host that the screen shows; null when none is named. */
  const item = computed(() => parts.value[1] || null);
  const selection = shallowRef<Selection>(null);

  function go(to: Screen, what: string | null = null): void {
    location.hash = what === null ? `/${to}` : `/${to}/${encodeURIComponent(what)}`;
  }

  return { screen, item, selection, go };
});

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
