import type { Screen } from "../../stores/place.ts";

export interface TourStep {
  readonly title: string;
  readonly text: string;
  readonly screen: Screen;
  readonly waitsFor?: "handoff" | "report";
}

/** What the tour shows while quickstart runs, in the order in which it happens. */
export const tourSteps: readonly TourStep[] = [
  { screen: "topology", title: "A lab of six hosts", text: "Sites lie as far apart as their latency says. One host is the home agent of the anycast address, three are members that serve it, two are clients. A client has the pattern and the line of the member that serves it." },
  { screen: "topology", title: "Clients change hands", waitsFor: "handoff", text: "When a client is handed over, a token flies from its old member to the new one. Its open connections, downloads and all, move with it: the client notices a short silence and nothing else." },
  { screen: "live", title: "Each handoff, message by message", text: "The ladder has a true time axis. Arrows are messages; the bar beside each step is what it took, the bracket what was predicted for it. A red hatched end is an overrun, the hatched bar on the client's line its silence." },
  { screen: "fleet", title: "The hosts behind it", text: "Every host is reached over SSH, also those of this lab. Choose one to see its key, what its preflight found, its agent and the data plane it uses. Your own Linux hosts come in by Add hosts, and everything works on them the same way." },
  { screen: "runs", title: "What was measured", waitsFor: "report", text: "When the run has ended it has a folder with every event, the packet captures and a report. Choose a handoff to see its ladder; mark two runs to lay them over one another." },
];
