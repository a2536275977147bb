import { computed } from "vue";
import { usePreferences } from "../stores/preferences.ts";

/** Colours that a canvas needs as values, read anew when the theme changes. */
export function useChartColours() {
  const preferences = usePreferences();
  return computed(() => {
    void preferences.dark;
    const style = getComputedStyle(document.documentElement);
    const value = (name: string) => style.getPropertyValue(name).trim();
    return { text: value("--text-2"), grid: value("--line"), accent: value("--accent"), node: (index: number) => value(`--node-${index}`) };
  });
}
