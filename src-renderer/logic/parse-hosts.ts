/** A line of what a person pasted: a host, or what is wrong with it. `number` counts from 1. */
export type PastedLine = { readonly number: number; readonly target: string; readonly name: string } | { readonly number: number; readonly text: string; readonly problem: string };

const pattern = /^(?:ssh\s+)?(?:(?<user>[^@\s]+)@)?(?:\[(?<six>[0-9a-f:.]+(?:%[\w.-]+)?)\]|(?<host>[^:\s[\]]+)|(?<bare>[0-9a-f]*:[0-9a-f:]+(?:%[\w.-]+)?))(?::(?<port>\d+))?(?:\s+(?:as|name=)\s*(?<name>\S+))?$/i;

/**
 * Reads lines such as `user@host`, `user@host:2222`, `user@[2001:db8::1]:22`, `host as short-name`. Empty lines and # comments are left out.
 * A name is taken from the host where none is given; names are made different from one another and from those in `taken`.
 */
export function parseHosts(text: string, taken: readonly string[] = []): PastedLine[] {
  const used = new Set(taken);
  return text.split("\n").flatMap((raw, index): PastedLine[] => {
    const line = raw.replace(/(^|\s)#.*$/, "").trim();
    if (line === "") return [];
    const read = readLine(line);
    if ("problem" in read) return [{ number: index + 1, text: line, problem: read.problem }];
    const name = unused(read.name, used);
    used.add(name);
    return [{ number: index + 1, target: read.target, name }];
  });
}

function readLine(line: string): { target: string; name: string } | { problem: string } {
  if (line.length > 300) return { problem: "this is too long for a host" };
  const found = pattern.exec(line)?.groups;
  if (!found) return { problem: "write it as user@host, user@host:port or user@[IPv6 address]:port" };
  const { user, six, host, bare, port, name } = found;
  const where = six ?? host ?? bare ?? "";
  if (where.startsWith("-") || user?.startsWith("-")) return { problem: "a host or user cannot start with a dash" };
  if (user && /[`$;|&<>(){}'"\\]/.test(user + where)) return { problem: "there are characters in it that no user or host has" };
  if (host && !/^[\p{L}\p{N}._-]+$/u.test(host)) return { problem: `"${host}" is not a host name` };
  if (port && (Number(port) < 1 || Number(port) > 65535)) return { problem: `port ${port} is not between 1 and 65535` };
  const bracketed = six || bare ? `[${where}]` : where;
  return { target: `${user ? `${user}@` : ""}${bracketed}${port ? `:${port}` : ""}`, name: name ?? shortName(where) };
}

/** ams.example.net becomes ams; an address stays whole. */
function shortName(where: string): string {
  return /^[\d.]+$|:/.test(where) ? where : (where.split(".")[0] ?? where);
}

function unused(name: string, used: ReadonlySet<string>): string {
  if (!used.has(name)) return name;
  for (let n = 2; ; n++) if (!used.has(`${name}-${n}`)) return `${name}-${n}`;
}
