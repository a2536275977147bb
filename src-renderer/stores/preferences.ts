import { defineStore } from "pinia";
import { computed, shallowRef, watch, watchEffect } from "vue";
import { defaultPreferences, type Preferences } from "../../src-shared/api/app/preferences.ts";
import { useConnection } from "./connection.ts";
import { useNotices } from "./notices.ts";

/** What the window remembers, and the theme that follows from it. */
export const usePreferences = defineStore("preferences", () => {
  const connection = useConnection();
  const notices = useNotices();
  const current = shallowRef<Preferences>(defaultPreferences);
  const known = shallowRef(false);
  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  const systemDark = shallowRef(darkSystem.matches);
  darkSystem.addEventListener("change", () => (systemDark.value = darkSystem.matches));
  const dark = computed(() => (current.value.theme === "system" ? systemDark.value : current.value.theme === "dark"));

  watch(
    () => connection.hello,
    (hello) => {
      if (!hello) return;
      current.value = hello.preferences;
      known.value = true;
    },
    { immediate: true },
  );
  connection.api.on("preferences.changed", (preferences) => (current.value = preferences));
  watchEffect(() => {
    document.documentElement.dataset.theme = dark.value ? "dark" : "light";
    document.documentElement.dataset.motion = current.value.reducedMotion ? "reduced" : "full";
  });

  async function set(change: Partial<Preferences>): Promise<void> {
    current.value = { ...current.value, ...change };
    try {
      current.value = await connection.api.call("preferences.set", { change });
    } catch (error) {
      notices.failed("The setting could not be kept", error);
    }
  }

  return { current, known, dark, set };
});
