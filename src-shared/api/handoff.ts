import { z } from "zod";

/** How a handoff is signalled; docs/protocol.md has the message ladder and the time budget of each. */
export const handoffMode = z.enum(["full", "prepared"]);
export type HandoffMode = z.infer<typeof handoffMode>;

/**
 * The instants of a handoff, in the order in which they normally happen, each named by what has just been done and at which role:
 * K contact, D donor, A acceptor. A mode uses some of them; each is told once per handoff as a `handoffStep` event of that host.
 */
export const handoffStep = z.enum([
  "decided", // K: the handoff was asked for or chosen
  "homeTestInit", // K: HoTI sent (full)
  "homeTest", // K: HoT received (full)
  "frozen", // D: the client's connections stand still
  "stateSent", // D: the right to bind the client, home token included, handed to the member link; in `full` before the freeze
  "stateReceived", // A
  "careOfTestInit", // A: CoTI sent
  "careOfTest", // A: CoT received
  "bindingUpdate", // A: BU sent
  "bindingAcknowledgement", // A: BA received
  "restored", // A: sockets live again
  "firstPacket", // A: first packet of a moved connection left (data or window probe)
  "done", // K: told by A
]);
export type HandoffStepName = z.infer<typeof handoffStep>;
