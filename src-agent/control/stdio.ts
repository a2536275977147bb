import { connect } from "node:net";

/** `agent control-stdio`: joins stdin and stdout to the running agent's control socket, where SSH may not forward sockets. Resolves with the exit code. */
export function controlStdio(path: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", (error) => {
      process.stderr.write(`no agent answers on ${path}: ${error.message}\n`);
      resolve(1);
    });
    socket.once("connect", () => {
      process.stdin.pipe(socket);
      socket.pipe(process.stdout);
    });
    socket.once("close", () => resolve(0));
  });
}
