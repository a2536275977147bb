import { connect } from "node:net";
import type { PlannedHost } from "../../../src-shared/api/labPlan.ts";

/** A running or stopped host of a lab, wherever its processes are. */
export interface LabHost {
  readonly plan: PlannedHost;
  /** Where its sshd listens, on the lab's management network. */
  readonly address: string;
  readonly up: boolean;
  /** One line on how it is. */
  readonly detail: string;
  /** Starts its first process and waits until its sshd answers. Throws Problem `lab.hostFailed` or `lab.diskFull` with what it said. */
  start(): Promise<void>;
  /** Ends every process of the host at once. */
  stop(): Promise<void>;
}

/** Whether an SSH server greets at this address, once connected within `patienceMs`. */
export function sshdAnswers(address: string, patienceMs = 2000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 22 });
    const done = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(patienceMs, () => done(false));
    socket.once("error", () => done(false));
    socket.once("close", () => resolve(false));
    socket.once("data", (banner) => done(banner.toString("latin1").startsWith("SSH-")));
  });
}
