import { spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { SshError } from "./errors.ts";

/** Runs a ProxyCommand and answers its stdin and stdout as a stream. `command` has its tokens expanded. A command that ends is told with what it said. */
export async function proxyCommand(host: string, command: string): Promise<Duplex> {
  const child = spawn("sh", ["-c", `exec ${command}`], { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk) => (said = (said + String(chunk)).slice(-2000)));
  child.stdin.on("error", () => {}); // told by the end of its output
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.once("close", (code) => {
    if (code) stream.destroy(new SshError({ code: "ssh.unreachable", host, what: `its ProxyCommand ended with ${code}${said ? `: ${said.trim().split("\n").at(-1)}` : ""}`, remedy: `Try it by hand: ${command}` }));
  });
  stream.once("close", () => child.kill());
  return stream;
}
