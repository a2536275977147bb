import type { ServedFile } from "../../src-shared/api/scenario.ts";
import { Problem } from "../problem.ts";
import type { SshConnection } from "../ssh/connection.ts";
import type { RemoteProcess } from "../ssh/process.ts";
import { quote } from "../ssh/quote.ts";

/** An unmodified nginx on one host, as an ordinary user, on a loopback port; it ends when its standard input does, so also with the connection. */
export interface FileServer {
  readonly origin: string;
  /** By path. */
  readonly sha256: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface FileServerHost {
  readonly name: string;
  readonly ssh: SshConnection;
  /** Shell words that start our program on that host. */
  readonly command: string;
  /** Where the files and the server's own go; made if need be. */
  readonly directory: string;
}

const port = 8000;
const startLimitMs = 60_000;

/** Makes the files (kept for the next time) and serves them. Rejects with a Problem that names what is missing on the host. */
export async function startFileServer(host: FileServerHost, files: readonly ServedFile[]): Promise<FileServer> {
  const { ssh, directory } = host;
  const sha256: Record<string, string> = {};
  for (const file of files) sha256[file.path] = await makeFile(host, file);
  await must(host, `mkdir -p ${quote(`${directory}/files`)} && cat > ${quote(`${directory}/nginx.conf`)}`, "write its configuration", configuration(directory));
  const nginx = "PATH=$PATH:/usr/sbin:/usr/local/sbin nginx";
  // The shell waits for the end of its input; whatever ends the connection ends the server.
  const process = await ssh.start(`${nginx} -p ${quote(directory)} -c nginx.conf -e ${quote(`${directory}/nginx.log`)} & p=$!; cat > /dev/null; kill -QUIT $p; wait $p`);
  let said = "";
  process.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  process.stdout.resume();
  await listening(host, process, () => said);
  return {
    origin: `http://[::1]:${port}`,
    sha256,
    stop: async () => {
      process.stdin.end();
      await process.exit.catch(() => {});
    },
  };
}

async function makeFile(host: FileServerHost, file: ServedFile): Promise<string> {
  const made = await must(host, `${host.command} workload file --path ${quote(`${host.directory}/files${file.path}`)} --bytes ${file.bytes} --seed ${quote(file.seed)}`, `make ${file.path}`);
  const sha256 = /"sha256":"([0-9a-f]{64})"/.exec(made)?.[1];
  if (!sha256) throw new Problem({ code: "files.unmade", host: host.name, what: `making ${file.path} gave no checksum: ${made.slice(0, 200)}`, remedy: "Deploy the agent of this version again." });
  return sha256;
}

async function listening(host: FileServerHost, process: RemoteProcess, said: () => string): Promise<void> {
  const until = Date.now() + startLimitMs;
  while (Date.now() < until) {
    const probe = await host.ssh.run(`curl -s -o /dev/null -g 'http://[::1]:${port}/'`);
    if (probe.code === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  process.stdin.end();
  throw new Problem({ code: "files.server", host: host.name, what: `nginx does not answer on [::1]:${port}: ${said().trim() || "no message"}`, remedy: "Install nginx (or nginx-light) on the host, without starting it as a service, and see that the port is free." });
}

async function must(host: FileServerHost, command: string, what: string, stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await host.ssh.run(command, stdin === undefined ? {} : { stdin });
  if (code === 0) return stdout;
  throw new Problem({ code: "files.unmade", host: host.name, what: `could not ${what}: ${(stderr || stdout).trim().slice(0, 500)}`, remedy: `Check the space and the permissions of ${host.directory} there.` });
}

function configuration(directory: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `  ${kind}_temp_path ${directory}/${kind};`).join("\n");
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
${temporary}
  server {
    listen [::1]:${port};
    root ${directory}/files;
  }
}
`;
}
