import { Problem } from "../../problem.ts";
import type { RunResult } from "../../ssh/process.ts";
import { quote } from "../../ssh/quote.ts";
import type { HostAccess } from "./access.ts";
import { agentCapabilities, agentIdentity, setprivWords } from "./capabilities.ts";
import { type HostFacts } from "./facts.ts";
import type { Installed } from "./install.ts";
import type { RemotePlaces } from "./places.ts";
import { unitText } from "./systemd-unit.ts";

/** An agent starts in a second; six of them on an emulated processor take a minute. */
const startSeconds = 120;
const stopSeconds = 10;

export interface AgentOptions {
  readonly deployment: string;
  readonly interface: string;
  readonly address: string;
  readonly dataPlane?: "auto" | "kernel" | "ebpf" | "userspace";
  /** Where its Prometheus endpoint listens: PORT (on the loopback address) or [ADDRESS]:PORT. Off when unset. */
  readonly metrics?: string;
}

/** Whether the pid file's process is an agent of this run directory: $1. Prints its pid. */
const runningPid = String.raw`
running() {
  p=$(cat "$1/agent.pid" 2>/dev/null) || return 1
  tr '\0' ' ' < "/proc/$p/cmdline" 2>/dev/null | grep -qF -- "--dir $1 " || return 1
  case $(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null) in ''|Z*|X*) return 1;; esac
  echo "$p"
}`;

/** As the agent's user, in the process that becomes the agent: output to the log, pid to the pid file. $0 is the run directory. */
export const become = 'umask 077; cd /; exec </dev/null >>"$0/agent.log" 2>&1; echo $$ >"$0/agent.pid"; exec "$@"';

/** Waits in the host for the control socket. Expects $run; `alive` is defined by how the agent was started. */
const awaitSocket = String.raw`
i=0
while [ $i -lt ${20 + startSeconds * 2} ]; do
  if [ -S "$run/control.sock" ]; then echo started; exit 0; fi
  alive || { echo died; exit 0; }
  if [ $i -lt 20 ]; then sleep 0.05; else sleep 0.5; fi; i=$((i+1))
done
echo slow`;

/**
 * Starts the agent, detached from the SSH session, and waits until its control socket is there. One that runs already from the same files is
 * left alone; an older one is stopped first. Throws Problem `agent.died` (with its last log lines), `agent.slow`, `host.capability` or `host.noRoot`.
 */
export async function startAgent(access: HostAccess, facts: HostFacts, places: RemotePlaces, installed: Installed, options: AgentOptions): Promise<"started" | "running"> {
  const words = [installed.node, `${installed.agent}/agent.mjs`];
  const uses = `${installed.agent}\n${installed.node.replace(/\/node$/, "")}\n`;
  let before = await prepareRun(access, facts, places, uses, words);
  if (before.agent === "running" && before.uses === uses) return "running";
  if (before.agent === "running") {
    await stopAgent(access, facts, places);
    before = await prepareRun(access, facts, places, uses, words);
  }
  const capabilities = await agentCapabilities(access, facts);
  if (before.agent === "dead") await cleanAfter(access, facts, places, words, capabilities);
  const run = [...words, "run", "--dir", places.run, "--host", access.name, "--interface", options.interface, "--address", options.address, "--data-plane", options.dataPlane ?? "auto", ...(options.metrics ? ["--metrics", options.metrics] : [])];
  const result = await (facts.systemd ? startUnit(access, facts, places, run, capabilities, options) : startDetached(access, facts, places, run, capabilities));
  const outcome = result.stdout.trim().split("\n").at(-1);
  if (outcome === "started") return "started";
  const evidence = `${result.stderr.trim()}\n${await readAs(access, facts, 'tail -c +"$2" "$1/agent.log" 2>/dev/null | tail -n 20', [places.run, String(before.logged + 1)])}`.trim();
  await stopAgent(access, facts, places).catch(() => {});
  const lastLine = evidence.split("\n").at(-1) ?? "";
  if (outcome === "slow") throw new Problem({ code: "agent.slow", host: access.name, what: `the agent was not ready within ${startSeconds} s`, remedy: "Look at the host's load and at the log below.", evidence });
  throw new Problem({ code: "agent.died", host: access.name, what: `the agent ended while starting${lastLine ? `: ${lastLine.slice(0, 300)}` : ""}`, remedy: "Its last log lines are below; preflight tells what the host lacks.", evidence });
}

/** Ends the agent (waiting for a clean end, then by force, then cleaning up after it). Safe when none runs. Answers how it ended. */
export async function stopAgent(access: HostAccess, facts: HostFacts, places: RemotePlaces): Promise<"clean" | "forced" | "none"> {
  const script = String.raw`${runningPid}
p=$(running "$1") || { [ -e "$1/agent.pid" ] && echo dead || echo none; exit 0; }
kill -TERM "$p"; i=0
while [ $i -lt ${stopSeconds * 10} ]; do running "$1" >/dev/null || { echo clean; exit 0; }; sleep 0.1; i=$((i+1)); done
kill -KILL "$p"; while running "$1" >/dev/null; do sleep 0.05; done; echo forced`;
  const outcome = (await readAs(access, facts, script, [places.run])).trim();
  if (facts.systemd) await removeUnit(access, places);
  if (outcome === "clean" || outcome === "none") return outcome;
  const words = (await readAs(access, facts, 'cat "$1/command" 2>/dev/null', [places.run])).split("\n").filter((word) => word !== "");
  if (words.length > 0) await cleanAfter(access, facts, places, words, await agentCapabilities(access, facts));
  return "forced";
}

/** Removes the run directory of a stopped agent, and the folders above it that are empty then. */
export async function removeRun(access: HostAccess, facts: HostFacts, places: RemotePlaces): Promise<void> {
  await access.run(String.raw`rm -rf "$1"; d=$(dirname "$1"); rmdir "$d" "$(dirname "$d")" 2>/dev/null; true`, [places.run]);
  if (facts.systemd) await removeUnit(access, places);
}

/** The words that start our program on a host where it is deployed; undefined where it is not. */
export async function deployedCommand(access: HostAccess, places: RemotePlaces): Promise<readonly string[] | undefined> {
  const { stdout } = await access.run('cat "$1/command" 2>/dev/null', [places.run]);
  const words = stdout.split("\n").filter((word) => word !== "");
  return words.length > 0 ? words : undefined;
}

/** The pid of the running agent, if there is one. */
export async function agentPid(access: HostAccess, places: RemotePlaces): Promise<number | undefined> {
  const { stdout } = await access.run(`${runningPid}\nrunning "$1"`, [places.run]);
  return stdout.trim() === "" ? undefined : Number(stdout);
}

/** What was in the run directory before a start; `logged` is the length of the log then. */
interface Before {
  readonly agent: "running" | "dead" | "none";
  readonly uses: string;
  readonly logged: number;
}

/** Makes the run directory, 0700 and the agent user's own, with a note of what in the store it uses; while an agent runs there nothing is changed. */
async function prepareRun(access: HostAccess, facts: HostFacts, places: RemotePlaces, uses: string, words: readonly string[]): Promise<Before> {
  const { uid, gid, login } = agentIdentity(facts);
  const make = 'umask 022; mkdir -p "$1" && chmod 700 "$1" || exit 9';
  if (!login) {
    // Only the directory itself is made as root. What is in it is touched as the agent's user: it could have put links there.
    const made = await access.run(`umask 022; mkdir -p "$(dirname "$1")" && { [ -d "$1" ] || install -d -m 700 -o ${uid} -g ${gid} "$1"; }`, [places.run]);
    if (made.code !== 0) throw noRunDirectory(access.name, places.run, made.stderr);
  }
  const script = String.raw`${make}
${runningPid}
if running "$1" >/dev/null; then echo running; elif [ -e "$1/agent.pid" ]; then echo dead; else echo none; fi
stat -c %s "$1/agent.log" 2>/dev/null || echo 0
if running "$1" >/dev/null; then cat "$1/uses"; exit 0; fi
umask 077; rm -f "$1/control.sock"; printf %s "$2" > "$1/uses" && printf %s "$3" > "$1/command" || exit 9`;
  const result = await runAs(access, facts, script, [places.run, uses, words.map((w) => `${w}\n`).join("")]);
  if (result.code === 9) throw noRunDirectory(access.name, places.run, result.stderr);
  const [agent, logged, ...rest] = result.stdout.split("\n");
  return { agent: agent as Before["agent"], logged: Number(logged), uses: rest.join("\n") };
}

function noRunDirectory(host: string, path: string, said: string): Problem {
  const full = /no space/i.test(said);
  return new Problem({ code: full ? "deploy.diskFull" : "deploy.runDirectory", host, what: full ? `its disk is full (${path})` : `${path} could not be made: ${said.trim()}`, remedy: full ? "Free some space there." : "Check the permissions above it." });
}

/** Runs a script as the agent's user: the login itself, or through setpriv where the login is root. */
function runAs(access: HostAccess, facts: HostFacts, script: string, args: readonly string[]): Promise<RunResult> {
  const { uid, gid, login } = agentIdentity(facts);
  return login ? access.run(script, args) : access.run(`exec setpriv --reuid ${uid} --regid ${gid} --clear-groups sh -c ${quote(script)} sh "$@"`, args);
}

async function readAs(access: HostAccess, facts: HostFacts, script: string, args: readonly string[]): Promise<string> {
  return (await runAs(access, facts, script, args)).stdout;
}

/**
 * What a handoff waits for shall not wait for a download on the same host: the agent's session comes before ordinary ones, where the kernel shares the
 * processor between sessions and lets us. $0 and what follows is what becomes of it.
 */
const comeFirst = '{ echo -10 >/proc/self/autogroup; } 2>/dev/null; exec "$0" "$@"';

async function startDetached(access: HostAccess, facts: HostFacts, places: RemotePlaces, run: readonly string[], capabilities: readonly string[]) {
  const start = [...setprivWords(facts, capabilities), "sh", "-c", quote(become), quote(places.run), ...run.map(quote)].join(" ");
  const script = String.raw`
run=$1; t=$(mktemp); trap 'cat "$t" >&2; rm -f "$t"' EXIT
setsid sh -c ${quote(comeFirst)} ${start} </dev/null >/dev/null 2>"$t" &
child=$!
alive() { case $(sed 's/.*) //' /proc/$child/stat 2>/dev/null) in ''|Z*|X*) return 1;; esac; }
${awaitSocket}`;
  return access.runAsRoot(script, [places.run], { timeoutMs: (startSeconds + 20) * 1000 });
}

async function startUnit(access: HostAccess, facts: HostFacts, places: RemotePlaces, run: readonly string[], capabilities: readonly string[], options: AgentOptions) {
  const unit = await unitText({ deployment: options.deployment, host: access.name, ...agentIdentity(facts), capabilities, command: ["/bin/sh", "-c", become, places.run, ...run] });
  const script = String.raw`
run=$1; unit=$2
mkdir -p /run/systemd/system && cat > "/run/systemd/system/$unit" && systemctl daemon-reload && systemctl start "$unit" || { echo died; exit 0; }
alive() { systemctl is-active --quiet "$unit"; }
${awaitSocket}`;
  return access.runAsRoot(script, [places.run, unitName(places)], { stdin: unit, timeoutMs: (startSeconds + 20) * 1000 });
}

async function removeUnit(access: HostAccess, places: RemotePlaces): Promise<void> {
  await access.runAsRoot('f="/run/systemd/system/$1"; [ -e "$f" ] || exit 0; systemctl stop "$1"; rm -f "$f"; systemctl daemon-reload; systemctl reset-failed "$1" 2>/dev/null; true', [unitName(places)]);
}

function unitName(places: RemotePlaces): string {
  const [deployment, host] = places.run.split("/").slice(-2);
  return `anycast-lab-${deployment}-${host}.service`;
}

/** What a killed agent left in the kernel: removed by the program itself, with the same rights. */
async function cleanAfter(access: HostAccess, facts: HostFacts, places: RemotePlaces, words: readonly string[], capabilities: readonly string[]): Promise<void> {
  const command = [...setprivWords(facts, capabilities), ...words.map(quote), "clean", "--dir", quote(places.run)].join(" ");
  const result = await access.runAsRoot(command);
  if (result.code !== 0) throw new Problem({ code: "agent.notCleaned", host: access.name, what: `what a killed agent left behind could not be removed: ${result.stderr.trim().split("\n").at(-1)}`, remedy: `Restart the host's network, or run there as root: ${words.join(" ")} clean --dir ${places.run}` });
}
