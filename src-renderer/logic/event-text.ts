import type { AgentEventBody } from "../../src-shared/api/events.ts";
import { duration } from "./format.ts";
import { stepName } from "./ladder.ts";

/** What happened, in one line. The words are ours; names and reasons are the agent's and must be shown as plain text. */
export function eventText(body: AgentEventBody): string {
  switch (body.type) {
    case "agentStarted":
      return `agent ${body.version} started, data plane ${body.dataPlane}: ${body.reason}`;
    case "agentStopping":
      return `agent stops: ${body.reason}`;
    case "homeRegistered":
      return `${body.home} registered at ${body.careOf}, sequence ${body.sequence}, ${body.lifetimeSeconds} s`;
    case "homeRegistrationFailed":
      return `${body.home} not registered${body.status === null ? "" : ` (status ${body.status})`}: ${body.reason}`;
    case "bindingAccepted":
      return `binding of ${body.home} to ${body.careOf} accepted, sequence ${body.sequence}, ${body.lifetimeSeconds} s`;
    case "bindingRemoved":
      return `binding of ${body.home} removed: ${body.reason}`;
    case "memberUp":
      return `member ${body.member} up, round trip ${duration(body.rttMs)}`;
    case "memberDown":
      return `member ${body.member} down: ${body.reason}`;
    case "clientServed":
      return `${body.client} served by ${body.member}, ${body.how}: ${body.why}`;
    case "clientGone":
      return `${body.client} is gone`;
    case "handoffStep":
      return `${body.handoff} ${stepName(body.step)}`;
    case "handoffDone":
      return `${body.handoff} done: ${body.client} from ${body.donor} to ${body.acceptor}`;
    case "handoffFailed":
      return `${body.handoff} failed at ${body.step}: ${body.reason}`;
    case "message":
      return `${body.direction} ${body.summary}${body.tunnelled ? " (tunnelled)" : ""}`;
    case "drop":
      return `dropped ${body.count}: ${body.reason} (${body.sample})`;
    case "log":
      return body.text;
  }
}

/** Whether a person should look: marked with a sign besides its colour. */
export function eventTone(body: AgentEventBody): "bad" | "warn" | null {
  if (body.type === "homeRegistrationFailed" || body.type === "handoffFailed" || body.type === "memberDown") return "bad";
  if (body.type === "drop" || body.type === "bindingRemoved") return "warn";
  if (body.type === "log" && body.level !== "info") return body.level === "error" ? "bad" : "warn";
  return null;
}

/** The kind of an event in words: "handoffStep" becomes "handoff step". */
export function kindText(type: AgentEventBody["type"]): string {
  return type.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
