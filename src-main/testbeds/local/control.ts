import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import { z } from "zod";
import { linkChange, linkRef } from "../../../src-shared/api/lab.ts";
import { exitCodes, Problem, type ProblemText } from "../../problem.ts";
import type { LabFolder } from "./folders.ts";

/** Manager <-> supervisor of a lab: one JSON object per line on the lab's control socket; one answer per request, in any order. */
const settings = z.array(z.strictObject({ link: linkRef, bothWays: z.boolean(), change: linkChange })).max(100_000);
export const controlRequest = z.discriminatedUnion("op", [
  z.strictObject({ op: z.literal("status") }),
  z.strictObject({ op: z.literal("linkSet"), settings }),
  z.strictObject({ op: z.literal("linkReset") }),
  z.strictObject({ op: z.literal("stopHost"), host: z.string() }),
  z.strictObject({ op: z.literal("startHost"), host: z.string() }),
  z.strictObject({ op: z.literal("down") }),
]);
export type ControlRequest = z.infer<typeof controlRequest>;

export type ControlReply = { readonly ok: true; readonly value?: unknown } | { readonly ok: false; readonly problem: ProblemText };

/** What the supervisor says on its stdout while it starts. */
export type StartMessage = { readonly progress: string } | { readonly ready: true } | { readonly failed: ProblemText };

/** A Problem as it travels. */
export function problemText(problem: Problem): ProblemText {
  const { code, remedy, details, exitCode } = problem;
  const what = problem.host ? problem.message.slice(problem.host.length + 2) : problem.message;
  return { code, what, remedy, details, exitCode, ...(problem.host && { host: problem.host }), ...(problem.evidence && { evidence: problem.evidence }) };
}

/** Asks a lab's supervisor one thing. Throws its Problem, or `lab.notRunning` where nobody answers. */
export function askSupervisor(folder: LabFolder, request: ControlRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(folder.controlSocket);
    let answered = false;
    socket.once("error", (error) => reject(notRunning(folder, error)));
    socket.once("close", () => !answered && reject(notRunning(folder)));
    socket.once("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    createInterface({ input: socket })
      .on("line", (line) => {
        answered = true;
        socket.destroy();
        const reply = JSON.parse(line) as ControlReply;
        if (reply.ok) resolve(reply.value);
        else reject(new Problem(reply.problem));
      })
      .on("error", () => {}); // told by the socket
  });
}

export function notRunning(folder: LabFolder, cause?: Error): Problem {
  return new Problem({ code: "lab.notRunning", what: `the lab ${folder.name} is not running`, remedy: "Bring it up with `lab up`; `lab status` lists the labs that run.", exitCode: exitCodes.failed, cause });
}
