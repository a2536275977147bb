import { Duplex } from "node:stream";
import { type AgentHello, controlProtocolVersion, defaults } from "../../../src-shared/api/control.ts";
import { Problem } from "../../problem.ts";
import type { SshConnection } from "../../ssh/connection.ts";
import { SshError } from "../../ssh/errors.ts";
import { quote } from "../../ssh/quote.ts";
import { AgentClient } from "../agent-client.ts";
import type { HostAccess } from "./access.ts";
import { deployedCommand } from "./agent-process.ts";
import type { RemotePlaces } from "./places.ts";

/** An open control channel, what the agent said of itself, and how the channel runs. */
export interface ControlChannel {
  readonly client: AgentClient;
  readonly hello: AgentHello;
  readonly over: "socket" | "stdio";
}

/** Opens the control channel of a running agent: over an SSH-forwarded Unix socket, or where sshd forbids that, over a program's stdio. */
export async function openControl(access: HostAccess, places: RemotePlaces): Promise<ControlChannel> {
  const connection = await access.connection();
  const { stream, over } = await openStream(access, connection, places);
  const client = new AgentClient(access.name, stream);
  try {
    const hello = await client.call("hello", {}, 10_000 * (access.handle.patience ?? 1));
    if (hello.protocol !== controlProtocolVersion) {
      throw new Problem({ code: "agent.otherProtocol", host: access.name, what: `its agent ${hello.version} speaks control protocol ${hello.protocol}, this manager ${controlProtocolVersion}`, remedy: "Deploy this manager's agent." });
    }
    return { client, hello, over };
  } catch (error) {
    client.close();
    throw error;
  }
}

async function openStream(access: HostAccess, connection: SshConnection, places: RemotePlaces): Promise<{ stream: Duplex; over: ControlChannel["over"] }> {
  try {
    return { stream: await connection.forwardUnix(`${places.run}/${defaults.controlSocket}`), over: "socket" };
  } catch (error) {
    if (!(error instanceof SshError) || (error.code !== "ssh.channel" && error.code !== "ssh.forwardingOff")) throw error;
  }
  const words = await deployedCommand(access, places);
  if (!words) throw new Problem({ code: "agent.notDeployed", host: access.name, what: "no agent is deployed there", remedy: "Deploy it (lab up)." });
  const process = await connection.start([...words.map(quote), "control-stdio", "--dir", quote(places.run)].join(" "));
  let said = "";
  process.stderr.on("data", (chunk) => (said = (said + String(chunk)).slice(-2000)));
  const stream = Duplex.from({ readable: process.stdout, writable: process.stdin });
  // A program that ends at once says why on stderr; otherwise its end is the channel's end.
  void process.exit.then(
    ({ code }) => stream.destroy(code === 0 ? undefined : new Error(said.trim() || `control-stdio ended with ${code}`)),
    () => stream.destroy(),
  );
  return { stream, over: "stdio" };
}
