import { defineStore } from "pinia";
import { shallowRef } from "vue";

/** Dialogs that more than one screen or command opens. */
export type OpenDialog =
  | { readonly is: "palette" }
  | { readonly is: "addHosts" }
  /** `decided`: hosts whose keys were accepted just before, one dialog leading to the next. */
  | { readonly is: "hostKey"; readonly host: string; readonly decided?: readonly string[] }
  | { readonly is: "deploy"; readonly hosts: readonly string[] }
  | { readonly is: "undeploy"; readonly hosts: readonly string[] }
  | { readonly is: "link"; readonly link: string }
  | { readonly is: "log"; readonly host: string }
  | { readonly is: "inspect"; readonly host: string }
  | { readonly is: "task"; readonly task: string }
  | { readonly is: "stopAll" }
  | { readonly is: "shortcuts" }
  | { readonly is: "scenario"; readonly scenario: string | null }
  | { readonly is: "report"; readonly run: string };

export const useDialogs = defineStore("dialogs", () => {
  const open = shallowRef<OpenDialog | null>(null);
  return { open, show: (dialog: OpenDialog) => (open.value = dialog), close: () => (open.value = null) };
});
