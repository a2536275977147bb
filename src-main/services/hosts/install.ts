import { createHash } from "node:crypto";
import { Problem } from "../../problem.ts";
import type { RunResult } from "../../ssh/process.ts";
import type { HostAccess } from "./access.ts";
import { type Bundle, ourNode, packNode } from "./bundle.ts";
import { agentIdentity } from "./capabilities.ts";
import type { HostFacts } from "./facts.ts";
import type { RemotePlaces } from "./places.ts";

/** What is being sent to a host, for a progress bar. */
export type OnSent = (what: "agent" | "Node", sent: number, total: number) => void;

/** Where the agent and its Node are on a host. */
export interface Installed {
  readonly agent: string;
  readonly node: string;
  /** Whether anything had to be sent. */
  readonly uploaded: boolean;
}

/**
 * Receives an archive on stdin and turns it into a directory at $1, in one step: below a temporary neighbour first, checked against SHA-256 $2,
 * then renamed. Whatever goes wrong, hang-ups and full disks included, the neighbour is removed and $1 is not there. $3 unpacks, in the neighbour.
 */
const receive = String.raw`
set -eu
umask 022
parent=$(dirname "$1")
mkdir -p "$parent"
find "$parent" -maxdepth 1 -name '.upload-*' -mmin +60 -exec rm -rf {} + 2>/dev/null || true
t=$(mktemp -d "$parent/.upload-XXXXXX")
trap 'rm -rf "$t"' EXIT
trap 'exit 1' HUP INT TERM PIPE
chmod 755 "$t"
cat > "$t/archive"
echo "$2  $t/archive" | sha256sum -c - >/dev/null 2>&1 || { echo "what arrived is not what was sent" >&2; exit 1; }
mkdir "$t/content"
(cd "$t/content" && eval "$3")
rm "$t/archive"
sync -f "$t/content" 2>/dev/null || true
mv -T "$t/content" "$1" 2>/dev/null || [ -d "$1" ]
`;

/** Puts agent and Node on a host unless they are there already, byte for byte. Throws Problem with code `deploy.architecture`, `deploy.diskFull` or `deploy.upload`; then nothing of it stays. */
export async function install(access: HostAccess, facts: HostFacts, places: RemotePlaces, bundle: Bundle, onSent: OnSent = () => {}): Promise<Installed> {
  checkArchitecture(access.name, facts, bundle);
  const agent = `${places.store}/agent/${bundle.digest.slice(0, 16)}`;
  const there = await holds(access, agent, bundle);
  if (!there) await send(access, agent, await bundle.archive(), "tar -xzf ../archive", (sent, total) => onSent("agent", sent, total));
  const node = await provideNode(access, facts, places, onSent);
  return { agent, node: node.path, uploaded: !there || node.uploaded };
}

/** Takes away what deployments put in the store. Only when no run directory of any deployment uses it; otherwise what is not used. */
export async function uninstall(access: HostAccess, places: RemotePlaces): Promise<void> {
  const script = String.raw`
for a in "$1"/agent/* "$1"/node/*; do
  [ -d "$a" ] || continue
  used=
  for r in "$2"/*/*/uses; do [ -f "$r" ] && grep -qxF "$a" "$r" && used=1; done
  [ -n "$used" ] || rm -rf "$a"
done
rmdir "$1/agent" "$1/node" "$1" 2>/dev/null; true`;
  const runs = places.run.split("/").slice(0, -2).join("/");
  await access.run(script, [places.store, runs]);
}

function checkArchitecture(host: string, facts: HostFacts, bundle: Bundle): void {
  if (bundle.architectures.includes(facts.architecture)) return;
  throw new Problem({
    code: "deploy.architecture",
    host,
    what: `its architecture is ${facts.architecture}; the agent is built for ${bundle.architectures.join(", ")}`,
    remedy: `Use a host of that architecture, or build the agent on an ${facts.architecture} machine.`,
    details: { architecture: facts.architecture, built: bundle.architectures },
  });
}

/** Whether the directory has every file of the bundle, unchanged. */
async function holds(access: HostAccess, directory: string, bundle: Bundle): Promise<boolean> {
  const list = Object.entries(bundle.files).map(([file, digest]) => `${digest}  ${file}\n`).join("");
  const result = await access.run('cd "$1" 2>/dev/null && sha256sum -c --status - 2>/dev/null', [directory], { stdin: list });
  if (result.code === 0) return true;
  // A damaged copy is of no use to anybody: out of the way with it, so that the new one can take its name.
  await access.run('[ ! -e "$1" ] || rm -rf "$1"', [directory]);
  return false;
}

async function send(access: HostAccess, directory: string, archive: Buffer, unpack: string, onSent: (sent: number, total: number) => void): Promise<void> {
  const digest = createHash("sha256").update(archive).digest("hex");
  const result = await access.run(receive, [directory, digest, unpack], { stdin: archive, timeoutMs: 600_000, onSent: (sent) => onSent(sent, archive.length) });
  if (result.code !== 0) throw uploadProblem(access.name, directory, result);
}

function uploadProblem(host: string, directory: string, result: RunResult): Problem {
  const said = result.stderr.trim().split("\n")[0] ?? "";
  if (/no space left|quota exceeded/i.test(result.stderr)) return new Problem({ code: "deploy.diskFull", host, what: `its disk is full (${directory})`, remedy: "Free some space there; nothing of the deployment was left behind.", evidence: said });
  return new Problem({ code: "deploy.upload", host, what: `${directory} could not be written: ${said || `exit code ${result.code}`}`, remedy: "Check the directory and its permissions; nothing of the deployment was left behind." });
}

/** The host's own Node where the agent's user can run it, else ours. */
async function provideNode(access: HostAccess, facts: HostFacts, places: RemotePlaces, onSent: OnSent): Promise<{ path: string; uploaded: boolean }> {
  if (facts.node && (await runsFor(access, facts, facts.node.path))) return { path: facts.node.path, uploaded: false };
  const ours = ourNode(facts.architecture);
  if (!ours) {
    throw new Problem({ code: "deploy.noNode", host: access.name, what: `it has no Node from 20.10 on, and there is none for ${facts.architecture} to upload`, remedy: "Install Node 20.10 or newer on the host." });
  }
  const { digest, gzip } = await packNode(ours);
  const directory = `${places.store}/node/${digest.slice(0, 16)}`;
  const check = await access.run('echo "$2  $1/node" | sha256sum -c --status - 2>/dev/null', [directory, digest]);
  if (check.code === 0) return { path: `${directory}/node`, uploaded: false };
  await access.run('[ ! -e "$1" ] || rm -rf "$1"', [directory]);
  await send(access, directory, gzip, `gzip -dc < ../archive > node && chmod 755 node && echo ${digest}"  node" | sha256sum -c - >/dev/null`, (sent, total) => onSent("Node", sent, total));
  return { path: `${directory}/node`, uploaded: true };
}

/** An ordinary login has tried it already; where the login is root, the agent's own user must be able to reach it too. */
async function runsFor(access: HostAccess, facts: HostFacts, node: string): Promise<boolean> {
  const { uid, gid, login } = agentIdentity(facts);
  if (login) return true;
  const result = await access.run('setpriv --reuid "$2" --regid "$3" --clear-groups "$1" --version', [node, String(uid), String(gid)]);
  return result.code === 0;
}
