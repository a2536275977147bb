import { createConnection } from "node:net";

/** ProxyCommand for a person's ssh: `proxy.ts SOCKET HOST` joins stdin and stdout to a lab host's sshd. */
const [path, host] = process.argv.slice(2) as [string, string];
const socket = createConnection(path);

function fail(reason: string): never {
  process.stderr.write(`${host}: ${reason}\n`);
  process.exit(1);
}

socket.once("error", () => fail("the lab is not running"));
socket.once("connect", () => socket.write(`CONNECT ${host}\n`));
socket.once("data", (chunk) => {
  const end = chunk.indexOf("\n");
  const line = chunk.toString("utf8", 0, end);
  if (line !== "OK") fail(line.replace(/^ERROR /, ""));
  process.stdout.write(chunk.subarray(end + 1));
  socket.pipe(process.stdout);
  process.stdin.pipe(socket);
});
socket.once("close", () => process.exit(0));
