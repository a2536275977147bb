import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDestination, resolveHost } from "../../src-main/ssh/config.ts";
import { SshConnection } from "../../src-main/ssh/connection.ts";
import { ChangedHostKeyError, UnknownHostKeyError } from "../../src-main/ssh/errors.ts";
import { put } from "../../src-main/ssh/put.ts";
import type { SshTarget } from "../../src-main/ssh/target.ts";
import { acceptHostKey } from "../../src-main/ssh/verify.ts";
import { freePort } from "../support/freePort.ts";
import { keygen, TestSshd, whyNoSshd } from "../support/sshd.ts";

const execute = promisify(execFile);
const why = whyNoSshd();
async function read(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Connects, uses and closes. */
async function using<T>(target: SshTarget, use: (connection: SshConnection) => Promise<T>): Promise<T> {
  const connection = await SshConnection.connect(target, { timeoutMs: 5000 });
  try {
    return await use(connection);
  } finally {
    connection.close();
    await connection.closed;
  }
}

describe.skipIf(why)(`SSH connections to a real sshd${why ? ` (skipped: ${why})` : ""}`, () => {
  let sshd: TestSshd;
  beforeAll(async () => {
    sshd = await TestSshd.start({ hostKeys: ["ed25519", "ecdsa", "rsa"] });
    sshd.trust();
  });
  afterAll(() => sshd?.stop());

  it("runs commands: both outputs, stdin, exit code and signal", async () => {
    await using(sshd.target(), async (c) => {
      expect(await c.run("cat; echo oops >&2; exit 3", { stdin: "hello" })).toEqual({ code: 3, signal: undefined, stdout: "hello", stderr: "oops\n" });
      expect(await c.run("kill -9 $$")).toMatchObject({ code: undefined, signal: "SIGKILL" });
      const big = Buffer.alloc(3_000_000, "x");
      expect((await c.run("wc -c", { stdin: big })).stdout.trim()).toBe("3000000");
    });
  });

  it("ends a command that takes too long or says too much", async () => {
    await using(sshd.target(), async (c) => {
      await expect(c.run("sleep 30", { timeoutMs: 200 })).rejects.toMatchObject({ code: "ssh.timeout", host: "test-host" });
      await expect(c.run("yes", { maxOutput: 100_000 })).rejects.toMatchObject({ code: "ssh.channel" });
      expect((await c.run("echo still here")).stdout).toBe("still here\n");
    });
  });

  it("gives a shell a terminal that can change its size", async () => {
    await using(sshd.target(), async (c) => {
      const shell = await c.shell({ columns: 80, rows: 24 });
      let said = "";
      shell.stdout.on("data", (chunk) => (said += chunk));
      shell.stdin.write("stty size\n");
      await expect.poll(() => said).toMatch(/24 80/);
      shell.resize(132, 43);
      shell.stdin.write("stty size\nexit 7\n");
      expect(await shell.exit).toEqual({ code: 7, signal: undefined });
      expect(said).toMatch(/43 132/);
    });
  });

  it("forwards to Unix sockets and says when that fails", async () => {
    const path = join(sshd.directory, "echo.sock");
    const server = createServer((s) => s.pipe(s)).listen(path);
    await using(sshd.target(), async (c) => {
      const stream = await c.forwardUnix(path);
      stream.end("ping");
      expect(await read(stream)).toBe("ping");
      await expect(c.forwardUnix("/nowhere.sock")).rejects.toMatchObject({ code: "ssh.channel" });
    });
    server.close();
    const strict = await TestSshd.start({ config: ["AllowStreamLocalForwarding no"] });
    strict.trust();
    await using(strict.target(), (c) => expect(c.forwardUnix(path)).rejects.toMatchObject({ code: "ssh.channel" }));
    await strict.stop();
  });

  it("puts files whole or not at all", async () => {
    await using(sshd.target(), async (c) => {
      const path = join(sshd.directory, "it's a file");
      const sent: number[] = [];
      await put(c, path, Buffer.alloc(200_000, "y"), { mode: 0o755, onSent: (n) => sent.push(n) });
      expect(readFileSync(path).length).toBe(200_000);
      expect(sent.at(-1)).toBe(200_000);
      await expect(put(c, "/proc/nope/x", Buffer.from("z"))).rejects.toMatchObject({ code: "ssh.channel", host: "test-host" });
    });
  });

  it("goes over a given stream instead of TCP", async () => {
    const target = sshd.target({ stream: async () => connect({ host: "127.0.0.1", port: sshd.port, noDelay: true }) });
    expect((await using(target, (c) => c.run("echo $SSH_CLIENT"))).stdout).toMatch(/^127/);
  });

  it("asks for the passphrase of an encrypted key, once and only when it is needed", async () => {
    const key = join(sshd.directory, "locked");
    keygen(key, "ed25519", "open sesame");
    writeFileSync(join(sshd.directory, "authorized_keys"), readFileSync(`${key}.pub`), { flag: "a" });
    const asked: string[] = [];
    const passphrase = async (q: string) => (asked.push(q), "open sesame");
    await using(sshd.target({ credentials: { keyFiles: [key], passphrase } }), async () => {});
    expect(asked).toEqual([`Passphrase of ${key}`]);
    await using(sshd.target({ credentials: { keyFiles: [sshd.keyFile, key], passphrase } }), async () => {});
    expect(asked).toHaveLength(1);
    const wrong = SshConnection.connect(sshd.target({ credentials: { keyFiles: [key], passphrase: async () => "wrong" } }));
    await expect(wrong).rejects.toMatchObject({ code: "ssh.authentication", message: expect.stringMatching(/wrong passphrase/) });
  });

  it("logs in through a real SSH agent", async () => {
    const socket = join(sshd.directory, "agent.sock");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      await expect.poll(() => execute("ssh-add", ["-q", sshd.keyFile], { env: { ...process.env, SSH_AUTH_SOCK: socket } }).then(() => true, () => false)).toBe(true);
      await using(sshd.target({ credentials: { agentSocket: socket, keyFiles: [] } }), async () => {});
    } finally {
      agent.kill();
      await once(agent, "exit");
    }
  });

  it("falls back to a key file when the SSH agent is gone", async () => {
    const target = sshd.target({ credentials: { agentSocket: join(sshd.directory, "gone.sock"), keyFiles: [sshd.keyFile] } });
    expect(await using(target, (c) => c.run("true"))).toMatchObject({ code: 0 });
  });

  it("refuses a wrong key with host, user, what was tried and a remedy", async () => {
    const other = join(sshd.directory, "other");
    keygen(other, "ed25519");
    await expect(SshConnection.connect(sshd.target({ credentials: { keyFiles: [other] } }))).rejects.toMatchObject({
      code: "ssh.authentication",
      host: "test-host",
      message: expect.stringContaining(other),
      remedy: expect.stringMatching(/authorized_keys/),
    });
    await expect(SshConnection.connect(sshd.target({ credentials: { keyFiles: [] } }))).rejects.toMatchObject({ code: "ssh.authentication" });
  });

  it("refuses an unknown host key before any credential is offered; accepted, it connects", async () => {
    const file = join(sshd.directory, "fresh_known_hosts");
    const target = sshd.target({ trust: { ...sshd.target().trust, files: [file] } });
    const error = await SshConnection.connect(target).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UnknownHostKeyError);
    const unknown = error as UnknownHostKeyError;
    const { stdout } = await execute("ssh-keygen", ["-lf", join(sshd.directory, "host_ed25519.pub")]);
    expect(unknown.details["fingerprint"]).toBe(stdout.split(" ")[1]);
    await acceptHostKey(file, unknown.knownHostName, unknown.key, true);
    await using(target, async () => {});
    const found = await execute("ssh-keygen", ["-F", `[127.0.0.1]:${sshd.port}`, "-f", file]);
    expect(found.stdout).toContain("ssh-ed25519");
    expect(readFileSync(file, "utf8")).toMatch(/^\|1\|/);
  });

  it("refuses a changed host key and shows both fingerprints", async () => {
    const file = join(sshd.directory, "changed_known_hosts");
    const impostor = join(sshd.directory, "impostor");
    keygen(impostor, "ed25519");
    writeFileSync(file, `[127.0.0.1]:${sshd.port} ${readFileSync(`${impostor}.pub`, "utf8")}`);
    const error = await SshConnection.connect(sshd.target({ trust: { ...sshd.target().trust, files: [file] } })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ChangedHostKeyError);
    const prints = (await Promise.all([impostor, join(sshd.directory, "host_ed25519")].map((f) => execute("ssh-keygen", ["-lf", `${f}.pub`])))).map((r) => r.stdout.split(" ")[1] as string);
    for (const print of prints) expect((error as Error).message).toContain(print);
  });

  it("asks for the key type that is on file, whatever else the host has", async () => {
    for (const type of ["rsa", "ecdsa"]) {
      const file = join(sshd.directory, `only_${type}`);
      writeFileSync(file, `[127.0.0.1]:${sshd.port} ${sshd.hostKey(type)}\n`);
      expect(await using(sshd.target({ trust: { ...sshd.target().trust, files: [file] } }), (c) => c.run("true"))).toMatchObject({ code: 0 });
    }
  });

  it("refuses a revoked key, and a host known by certificate authority only", async () => {
    const file = join(sshd.directory, "marked");
    const target = sshd.target({ trust: { ...sshd.target().trust, files: [file, sshd.knownHostsFile] } });
    writeFileSync(file, `@revoked * ${sshd.hostKey()}\n`);
    await expect(SshConnection.connect(target)).rejects.toMatchObject({ code: "ssh.hostKeyRevoked" });
    writeFileSync(file, `@cert-authority * ${sshd.hostKey("rsa")}\n`);
    await expect(SshConnection.connect({ ...target, trust: { ...target.trust, files: [file] } })).rejects.toMatchObject({ code: "ssh.hostKeyAuthority" });
  });

  it("tells unreachable, refused, unresolved and silent hosts apart", async () => {
    await expect(SshConnection.connect(sshd.target({ port: await freePort("127.0.0.1") }))).rejects.toMatchObject({ code: "ssh.refused", remedy: expect.stringMatching(/sshd/) });
    await expect(SshConnection.connect(sshd.target({ hostname: "no-such-host.invalid" }))).rejects.toMatchObject({ code: "ssh.unresolved" });
    const mute = createServer(() => {}).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const { port } = mute.address() as { port: number };
    await expect(SshConnection.connect(sshd.target({ port }), { timeoutMs: 300 })).rejects.toMatchObject({ code: "ssh.timeout" });
    mute.close();
  });

  it("reports a connection that dies under a command", async () => {
    const doomed = await TestSshd.start();
    doomed.trust();
    const connection = await SshConnection.connect(doomed.target());
    const running = connection.run("sleep 60");
    running.catch(() => {});
    await connection.run("true");
    await doomed.stop();
    await expect(running).rejects.toMatchObject({ code: "ssh.lost", host: "test-host" });
    expect(await connection.closed).toMatchObject({ code: "ssh.lost" });
    await expect(connection.run("true")).rejects.toMatchObject({ code: "ssh.lost" });
  });

  it("notices a host that has gone silent", async () => {
    const frozen = await TestSshd.start();
    frozen.trust();
    const connection = await SshConnection.connect(frozen.target(), { keepaliveMs: 300 });
    void connection.start("kill -STOP $PPID").catch(() => {});
    expect(await connection.closed).toMatchObject({ code: "ssh.lost", message: expect.stringMatching(/keepalive/i) });
    await frozen.stop();
  });

  it("does what the user's ssh would: alias, port, key, known_hosts and ProxyJump from ssh -G", async () => {
    const directory = mkdtempSync(join(tmpdir(), "acl-config-"));
    const behind = await TestSshd.start();
    try {
      const known = join(directory, "known_hosts");
      writeFileSync(known, `[127.0.0.1]:${sshd.port} ${sshd.hostKey()}\nbehind-alias ${behind.hostKey()}\n`);
      const configFile = join(directory, "config");
      writeFileSync(
        configFile,
        `Host gate\n HostName 127.0.0.1\n Port ${sshd.port}\n IdentityFile ${sshd.keyFile}\nHost behind\n HostName 127.0.0.1\n Port ${behind.port}\n HostKeyAlias behind-alias\n IdentityFile ${behind.keyFile}\n ProxyJump gate\nHost *\n User root\n UserKnownHostsFile ${known}\n GlobalKnownHostsFile none\n IdentityAgent none\n StrictHostKeyChecking no\n`,
      );
      const target = await resolveHost({ name: "deep", destination: "behind" }, { configFile });
      expect(target.jump).toMatchObject({ port: sshd.port, user: "root" });
      const { stdout } = await using(target, (c) => c.run("echo $SSH_CONNECTION"));
      const oracle = await execute("ssh", ["-F", configFile, "behind", "echo $SSH_CONNECTION"]);
      expect(stdout.split(" ").slice(2)).toEqual(oracle.stdout.split(" ").slice(2));
      writeFileSync(known, "");
      await expect(SshConnection.connect(target)).rejects.toMatchObject({ code: "ssh.hostKeyUnknown" });
    } finally {
      await behind.stop();
      rmSync(directory, { recursive: true });
    }
  });

  it("reads destinations as people write them", () => {
    expect(parseDestination("a@[2001:db8::1]:2222")).toEqual({ user: "a", hostname: "2001:db8::1", port: 2222 });
    expect(parseDestination("fe80::1%eth0")).toEqual({ hostname: "fe80::1%eth0" });
    for (const bad of ["", "@h", "h:0", "h:99999", "a b", "-oProxyCommand=x", "[::1"]) expect(() => parseDestination(bad)).toThrow(RangeError);
  });
});
