import { connect, createServer, type Server, type Socket } from "node:net";

/** Longest first line: `CONNECT host`. */
const longestLine = 200;

/**
 * The way into a lab: a Unix socket on which a client says `CONNECT host\n`, hears `OK\n`, and then talks to that host's sshd; or hears
 * `ERROR reason\n`. The machine itself gets no port.
 */
export function openSshGate(path: string, addressOf: (host: string) => string | { readonly error: string }): Promise<Server> {
  const server = createServer((client) => {
    client.on("error", () => client.destroy());
    readLine(client, (line) => {
      const host = /^CONNECT ([a-z0-9-]+)$/.exec(line)?.[1];
      const address = host === undefined ? { error: "expected CONNECT and a host" } : addressOf(host);
      if (typeof address !== "string") return refuse(client, address.error);
      splice(client, address, host as string);
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}

function readLine(client: Socket, then: (line: string) => void): void {
  let text = "";
  const onData = (chunk: Buffer) => {
    text += chunk.toString("latin1");
    const end = text.indexOf("\n");
    if (end < 0 && text.length < longestLine) return;
    client.off("data", onData);
    client.pause();
    const rest = end < 0 ? "" : text.slice(end + 1);
    if (rest) client.unshift(Buffer.from(rest, "latin1"));
    then(end < 0 ? "" : text.slice(0, end));
  };
  client.on("data", onData);
}

function splice(client: Socket, address: string, host: string): void {
  const sshd = connect({ host: address, port: 22, noDelay: true });
  sshd.once("connect", () => {
    client.write("OK\n");
    client.pipe(sshd);
    sshd.pipe(client);
  });
  sshd.once("error", (error: NodeJS.ErrnoException) => (sshd.connecting || sshd.pending ? refuse(client, `${host} does not answer (${error.code})`) : client.destroy()));
  sshd.once("close", () => client.end());
  client.once("close", () => sshd.destroy());
}

function refuse(client: Socket, reason: string): void {
  client.end(`ERROR ${reason}\n`);
}
