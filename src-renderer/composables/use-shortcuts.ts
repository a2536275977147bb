import { onScopeDispose } from "vue";
import { useDialogs } from "../stores/dialogs.ts";
import { screens, usePlace } from "../stores/place.ts";

/** Keys that work everywhere. Inside a terminal only those with Ctrl/Cmd+Shift do, since every other key is the shell's. */
export function useShortcuts(): void {
  const dialogs = useDialogs();
  const place = usePlace();

  function togglePalette(): void {
    if (dialogs.open?.is === "palette") dialogs.close();
    else dialogs.show({ is: "palette" });
  }

  function onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const inTerminal = target.closest(".xterm") !== null;
    const typing = inTerminal || target.closest("input, textarea, select, [contenteditable]") !== null;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key.toLowerCase() === "k" && (!inTerminal || event.shiftKey)) togglePalette();
    else if (event.altKey && !command && !inTerminal && /^Digit[1-6]$/.test(event.code)) place.go(screens[Number(event.code.slice(-1)) - 1] ?? "topology");
    else if (event.key === "?" && !typing && !dialogs.open) dialogs.show({ is: "shortcuts" });
    else return;
    event.preventDefault();
  }

  addEventListener("keydown", onKey, true);
  onScopeDispose(() => removeEventListener("keydown", onKey, true));
}
