import { readFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { asProblem } from "../../problem.ts";
import { controlRequest, problemText, type ControlReply, type ControlRequest, type StartMessage } from "./control.ts";
import { asLabProblem, LabFolder } from "./folders.ts";
import { Lab } from "./lab.ts";
import type { LabRecord } from "./labRecord.ts";
import { openSshGate } from "./sshGate.ts";

/**
 * Process 1 of a lab's namespaces: everything in the lab ends with it, by the kernel's doing. Started by `labUp` with the lab's name and
 * folder; says on stdout how far it is, and must hear `keep` on stdin once it is up: when the one who started it dies before, so does the lab.
 */
const [name, path] = process.argv.slice(2) as [string, string];
const folder = new LabFolder(name, path);
const lab = new Lab(folder, JSON.parse(readFileSync(folder.record, "utf8")) as LabRecord);
let kept = false;

function say(message: StartMessage): void {
  try {
    writeSync(1, `${JSON.stringify(message)}\n`);
  } catch {
    // nobody listens any more; `input` ends too, and that ends us
  }
}

/** Ends the lab and removes its files. */
async function end(code: number): Promise<never> {
  await lab.stopHosts().catch(() => {});
  await rm(folder.path, { recursive: true, force: true }).catch((error: unknown) => console.error("cannot remove the lab's files:", error));
  process.exit(code);
}

async function perform(request: ControlRequest): Promise<unknown> {
  switch (request.op) {
    case "status":
      return lab.status();
    case "linkSet":
      return lab.linkSet(request.settings);
    case "linkReset":
      return lab.linkReset();
    case "stopHost":
      return lab.stopHost(request.host);
    case "startHost":
      return lab.startHost(request.host);
    case "down":
      await lab.stopHosts();
      return rm(folder.path, { recursive: true, force: true });
  }
}

async function answer(line: string): Promise<ControlReply> {
  try {
    return { ok: true, value: await perform(controlRequest.parse(JSON.parse(line))) };
  } catch (error) {
    return { ok: false, problem: problemText(asProblem(asLabProblem(error))) };
  }
}

function openControl(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket })
      .on("line", async (line) => {
        const reply = await answer(line);
        const last = reply.ok && /"op":"down"/.test(line);
        socket.end(`${JSON.stringify(reply)}\n`, () => last && process.exit(0));
      })
      .on("error", () => {}); // told by the socket
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(folder.controlSocket, () => resolve(server));
  });
}

createInterface({ input: process.stdin })
  .on("line", (line) => (kept ||= line === "keep"))
  .on("close", () => kept || void end(1));
process.on("SIGTERM", () => void end(0));

try {
  await lab.up((progress) => say({ progress }));
  await openSshGate(folder.sshSocket, (host) => lab.addressOf(host));
  await openControl();
  say({ ready: true });
} catch (error) {
  say({ failed: problemText(asProblem(asLabProblem(error))) });
  await end(1);
}
