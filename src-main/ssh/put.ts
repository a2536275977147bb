import { createHash } from "node:crypto";
import type { SshConnection } from "./connection.ts";
import { quote } from "./quote.ts";
import { SshError } from "./errors.ts";

/** Writes a file on the host: into a temporary neighbour first, checked by SHA-256, then renamed, so that the path never holds half a file. */
export async function put(connection: SshConnection, path: string, content: Uint8Array, options: { readonly mode?: number; readonly onSent?: (bytes: number) => void } = {}): Promise<void> {
  const digest = createHash("sha256").update(content).digest("hex");
  const mode = (options.mode ?? 0o644).toString(8);
  const script = `set -e; umask 077; t=$(mktemp ${quote(`${path}.XXXXXX`)}); trap 'rm -f "$t"' EXIT HUP INT TERM; cat > "$t"; echo ${digest}"  $t" | sha256sum -c --quiet -; chmod ${mode} "$t"; mv -f "$t" ${quote(path)}`;
  const result = await connection.run(`sh -c ${quote(script)}`, { stdin: content, ...(options.onSent && { onSent: options.onSent }) });
  if (result.code !== 0) {
    const said = result.stderr.trim().split("\n")[0] ?? "";
    throw new SshError({ code: "ssh.channel", host: connection.target.host, what: `${path} could not be written: ${said || `exit code ${result.code}`}`, remedy: /no space/i.test(said) ? "Free some disk space on the host." : "Check the directory and its permissions." });
  }
}
