import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** nginx: from the cache that `npm test` fills (scripts/packages.mjs), or installed. Null when there is none. */
export function findNginx(): string | null {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "anycast-lab");
  return [join(cache, "packages/nginx/usr/sbin/nginx"), "/usr/sbin/nginx"].find((path) => existsSync(path)) ?? null;
}

/** Writes a configuration that serves `root` on [::1]:port from the foreground, with all its files in `directory`. Returns the arguments. */
export function nginxArguments(directory: string, root: string, port: number): string[] {
  mkdirSync(directory, { recursive: true });
  const config = join(directory, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ");
  writeFileSync(
    config,
    `user root;
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
worker_processes 1;
events { worker_connections 256; }
http {
  access_log ${directory}/access.log;
  default_type application/octet-stream;
  sendfile on;
  ${temporary}
  server { listen [::1]:${port}; root ${root}; }
}
`,
  );
  return ["-e", `${directory}/error.log`, "-p", directory, "-c", config];
}
