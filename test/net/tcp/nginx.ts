import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const cache = join(tmpdir(), "anycast-lab-test-nginx");

/** The nginx program: installed, or unpacked from its Debian package (installing it would start a daemon). Throws saying what failed. */
export function findNginx(): string {
  const installed = ["/usr/sbin/nginx", join(cache, "usr/sbin/nginx")].find((path) => existsSync(path));
  if (installed) return installed;
  mkdirSync(cache, { recursive: true });
  execFileSync("apt-get", ["download", "nginx"], { cwd: cache, stdio: "pipe" });
  const packageFile = readdirSync(cache).find((name) => name.endsWith(".deb"));
  if (!packageFile) throw new Error("apt-get download nginx brought no package");
  execFileSync("dpkg", ["-x", packageFile, "."], { cwd: cache, stdio: "pipe" });
  return join(cache, "usr/sbin/nginx");
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
