import { Problem } from "../../problem.ts";
import type { SshConnection } from "../../ssh/connection.ts";
import type { HostAccess } from "./access.ts";

/** What a host is and has, as one look at it tells. Nothing is changed by looking. */
export interface HostFacts {
  readonly kernel: string;
  /** As Node names it (x64, arm64), or what uname says. */
  readonly architecture: string;
  readonly system: string;
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  /** Programs named node that the login finds, best first, with their version. */
  readonly node: { readonly path: string; readonly version: string } | undefined;
  /** Space for us in the home directory, bytes. */
  readonly freeBytes: number;
  readonly setpriv: boolean;
  readonly tun: "usable" | "forbidden" | "missing";
  readonly systemd: boolean;
  readonly userNamespace: boolean;
  /** IPV6_MIP6 in the kernel: undefined when its configuration is not told. */
  readonly mip6: boolean | undefined;
  /** Interfaces with their global IPv6 addresses. */
  readonly addresses: readonly { readonly interface: string; readonly address: string }[];
  /** Routes that lead beyond the host's own links. */
  readonly ipv6Routes: number;
  readonly ipv6Disabled: boolean;
  /** The host's wall clock minus the manager's, ms, ± half the round trip of a look; no look succeeded where the error is infinite. */
  readonly clock: { readonly offsetMs: number; readonly errorMs: number; readonly synchronised: boolean | undefined };
}

const script = String.raw`
p() { printf '%s=%s\n' "$1" "$2"; }
p kernel "$(uname -r)"; p machine "$(uname -m)"; p system "$(uname -s)"
p user "$(id -un 2>/dev/null || id -u)"; p uid "$(id -u)"; p gid "$(id -g)"; p home "$HOME"
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
for n in "$1" $(command -v node nodejs 2>/dev/null) /usr/local/bin/node /opt/node/bin/node; do
  case " $tried " in *" $n "*) continue;; esac; tried="$tried $n"
  [ -n "$n" ] && [ -x "$n" ] && p node "$n $("$n" --version 2>/dev/null </dev/null)"
done
d="$HOME"; [ -d "$d" ] || d=/
p free "$(df -Pk "$d" 2>/dev/null | awk 'NR==2{print $4}')"
setpriv --ambient-caps -all true 2>/dev/null && p setpriv 1
if [ -c /dev/net/tun ]; then if [ -r /dev/net/tun ] && [ -w /dev/net/tun ]; then p tun usable; else p tun forbidden; fi; else p tun missing; fi
[ -d /run/systemd/system ] && [ "$(cat /proc/1/comm 2>/dev/null)" = systemd ] && p systemd 1
p uidmap "$(cat /proc/self/uid_map 2>/dev/null | tr -s ' \n' '  ')"
c=$( (zcat /proc/config.gz || cat "/boot/config-$(uname -r)" || cat "/lib/modules/$(uname -r)/config") 2>/dev/null | grep -E '^(# )?CONFIG_IPV6_MIP6[ =]')
p mip6 "$c"
p ipv6disabled "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || echo 1)"
ip -o -6 addr show scope global 2>/dev/null | awk '{sub("/.*","",$4); print "address=" $2 " " $4}'
p routes "$(ip -6 route show 2>/dev/null | grep -v '^fe80' | grep -vc 'proto kernel')"
p ntp "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)"
p end 1
`;

/** Looks at a host, as its login user. `nodePath` is tried first; `clock: false` leaves the clock alone, which takes some round trips. Throws Problem `host.notLinux` for something that is no Linux, and SshError. */
export async function lookAt(access: HostAccess, nodePath = "", options: { readonly clock: boolean } = { clock: false }): Promise<HostFacts> {
  const clock = options.clock ? await readClock(await access.connection()) : { offsetMs: 0, errorMs: Number.POSITIVE_INFINITY };
  const result = await access.run(script, [nodePath], { timeoutMs: 30_000 });
  const lines = result.stdout.split("\n").map((line) => /^(\w+)=(.*)$/.exec(line)).filter((m) => m !== null);
  const all = (key: string) => lines.filter((m) => m[1] === key).map((m) => m[2] as string);
  const one = (key: string) => all(key)[0] ?? "";
  if (one("end") !== "1" || one("system") !== "Linux") {
    throw new Problem({ code: "host.notLinux", host: access.name, what: one("system") ? `it runs ${one("system")}, not Linux` : `its shell did not run our questions: ${result.stderr.trim().split("\n")[0] ?? `exit code ${result.code}`}`, remedy: "Agents run on Linux hosts with a POSIX shell." });
  }
  const mip6 = one("mip6");
  return {
    kernel: one("kernel"),
    architecture: { x86_64: "x64", aarch64: "arm64" }[one("machine")] ?? one("machine"),
    system: one("system"),
    user: one("user"),
    uid: Number(one("uid")),
    gid: Number(one("gid")),
    home: one("home"),
    node: bestNode(all("node")),
    freeBytes: Number(one("free")) * 1024,
    setpriv: one("setpriv") === "1",
    tun: one("tun") as HostFacts["tun"],
    systemd: one("systemd") === "1",
    userNamespace: !/^\s*0 0 4294967295/.test(one("uidmap")),
    mip6: mip6 === "" ? undefined : /=[ym]$/.test(mip6),
    addresses: all("address").map((text) => ({ interface: text.split(" ")[0] ?? "", address: text.split(" ")[1] ?? "" })),
    ipv6Routes: Number(one("routes")),
    ipv6Disabled: one("ipv6disabled") === "1",
    clock: { ...clock, synchronised: one("ntp") === "" ? undefined : one("ntp") === "yes" },
  };
}

/** The host's wall clock against ours, from the quickest of a few looks. */
async function readClock(connection: SshConnection): Promise<{ offsetMs: number; errorMs: number }> {
  let best = { offsetMs: 0, errorMs: Number.POSITIVE_INFINITY };
  for (let i = 0; i < 3; i++) {
    const before = performance.timeOrigin + performance.now();
    const { stdout } = await connection.run("date +%s%N");
    const after = performance.timeOrigin + performance.now();
    const errorMs = (after - before) / 2;
    if (/^\d{18,}\s*$/.test(stdout) && errorMs < best.errorMs) best = { offsetMs: Number(stdout) / 1e6 - (before + errorMs), errorMs };
  }
  return best;
}

/** The first of the programs that is Node 20.10 or newer. */
function bestNode(found: readonly string[]): HostFacts["node"] {
  for (const text of found) {
    const [, path, version, major, minor] = /^(.*) v((\d+)\.(\d+)\.\d+)$/.exec(text) ?? [];
    if (path && version && (Number(major) > 20 || (Number(major) === 20 && Number(minor) >= 10))) return { path, version };
  }
  return undefined;
}
