import { computed } from "vue";
import type { IconName } from "../components/icons.ts";
import { plain } from "../logic/plain.ts";
import { useConnection } from "../stores/connection.ts";
import { useDialogs } from "../stores/dialogs.ts";
import { useLab } from "../stores/lab.ts";
import { type Screen, usePlace } from "../stores/place.ts";
import { usePreferences } from "../stores/preferences.ts";
import { useRuns } from "../stores/runs.ts";
import { useTerminals } from "../stores/terminals.ts";
import { useTour } from "../stores/tour.ts";
import { useAction } from "./use-action.ts";

export interface Command {
  readonly id: string;
  readonly title: string;
  readonly icon: IconName;
  readonly keys?: string;
  run(): unknown;
}

const screenTitles: readonly (readonly [Screen, string, IconName])[] = [
  ["topology", "Topology", "topology"],
  ["fleet", "Fleet", "fleet"],
  ["live", "Live", "live"],
  ["runs", "Runs", "runs"],
  ["terminal", "Terminal", "terminal"],
  ["settings", "Settings", "settings"],
];
export { screenTitles };

/** Everything that can be done from anywhere, for the command palette. */
export function useCommands() {
  const { api } = useConnection();
  const lab = useLab();
  const place = usePlace();
  const runs = useRuns();
  const dialogs = useDialogs();
  const preferences = usePreferences();
  const terminals = useTerminals();
  const tour = useTour();
  const { run: act } = useAction();

  const screens = (): Command[] => screenTitles.map(([screen, title, icon], i) => ({ id: `go-${screen}`, title: `Go to ${title}`, icon, keys: `Alt ${i + 1}`, run: () => place.go(screen) }));

  const labs = (): Command[] =>
    lab.labs.flatMap((each): Command[] => {
      const name = plain(each.name);
      const open: Command = { id: `open-${each.id}`, title: `Open lab ${name}`, icon: "map", run: () => lab.open(each.id) };
      if (each.kind === "fleet") return [open];
      const up = each.phase === "up" || each.phase === "starting";
      return [open, { id: `power-${each.id}`, title: up ? `Stop lab ${name}` : `Start lab ${name}`, icon: up ? "stop" : "play", run: () => act(up ? "The lab could not be stopped" : "The lab could not be started", () => api.call(up ? "lab.down" : "lab.up", { lab: each.id })) }];
    });

  const running = (): Command[] => {
    const current = runs.current;
    if (current) return [{ id: "stop-run", title: `Stop the run ${plain(current.title)}`, icon: "stop", run: () => act("The run could not be stopped", () => api.call("run.stop", { run: current.id })) }];
    return runs.scenarios.map((scenario) => ({ id: `run-${scenario.id}`, title: `Run ${plain(scenario.title)}`, icon: "play" as const, run: async () => {
      const started = await act("The run could not start", () => runs.start(scenario.id, null));
      if (started) place.go("runs", started);
    } }));
  };

  const hosts = (): Command[] => {
    const state = lab.state;
    if (!state || state.hosts.length === 0) return [];
    const all = state.hosts.map((host) => host.id);
    const capturing = state.captures.find((capture) => capture.state === "running");
    return [
      { id: "preflight", title: "Preflight of all hosts", icon: "check", run: () => act("The preflight could not start", () => api.call("host.preflight", { lab: state.id, hosts: all })) },
      capturing
        ? { id: "capture-stop", title: "Stop capturing", icon: "stop", run: () => act("The capture could not be stopped", () => api.call("capture.stop", { lab: state.id, capture: capturing.id })) }
        : { id: "capture", title: "Capture packet headers on all hosts", icon: "record", run: () => act("The capture could not start", () => api.call("capture.start", { lab: state.id, hosts: all, headersOnly: true })) },
      ...state.hosts.map((host): Command => ({ id: `terminal-${host.id}`, title: `Open a terminal on ${plain(host.name)}`, icon: "terminal", run: () => terminals.openOn(host.id) })),
      ...state.hosts.map((host): Command => ({ id: `log-${host.id}`, title: `Show the log of ${plain(host.name)}`, icon: "log", run: () => dialogs.show({ is: "log", host: host.id }) })),
    ];
  };

  const others = (): Command[] => [
    { id: "add-hosts", title: "Add hosts…", icon: "plus", run: () => dialogs.show({ is: "addHosts" }) },
    { id: "stop-all", title: "Stop and restore all…", icon: "undo", run: () => dialogs.show({ is: "stopAll" }) },
    { id: "tour", title: "Take the tour", icon: "help", run: () => tour.begin() },
    { id: "theme", title: preferences.dark ? "Theme: light" : "Theme: dark", icon: preferences.dark ? "sun" : "moon", run: () => preferences.set({ theme: preferences.dark ? "light" : "dark" }) },
    { id: "shortcuts", title: "Keyboard shortcuts", icon: "info", keys: "?", run: () => dialogs.show({ is: "shortcuts" }) },
  ];

  return computed<Command[]>(() => [...screens(), ...running(), ...others(), ...labs(), ...hosts()]);
}
