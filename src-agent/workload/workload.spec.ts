import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { content, fileHash, makeFile } from "./content.ts";
import { EchoCheck } from "./echo-check.ts";

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "workload-spec-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function listening(server: Server): Promise<number> {
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  return new Promise((resolve) => server.listen(0, "::1", () => resolve((server.address() as AddressInfo).port)));
}

type Line = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Runs the workload program as a client host does; ends its input after `stopAfterMs`. */
function workload(args: readonly string[], stopAfterMs?: number): Promise<{ readonly exit: number; readonly lines: readonly Line[] }> {
  const program = `import { workloadCommand } from ${JSON.stringify(join(import.meta.dirname, "command.ts"))}; process.exit(await workloadCommand(process.argv.slice(1)));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, "--", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  cleanups.push(() => child.kill("SIGKILL"));
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (out === "" && stopAfterMs !== undefined) setTimeout(() => child.stdin.end(), stopAfterMs);
    out += chunk.toString();
  });
  return new Promise((resolve) => child.once("close", (exit) => resolve({ exit: exit ?? -1, lines: out.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Line) })));
}

describe("echo check", () => {
  it("accepts each line once, in pieces too", () => {
    const check = new EchoCheck(3);
    const sent = [check.next(10), check.next(20)].map((n) => n.line).join("");
    expect(sent).toBe("0 xxx\n1 xxx\n");
    expect(check.take(sent.slice(0, 4))).toEqual([]);
    expect(check.take(sent.slice(4))).toEqual([
      { number: 0, sentAt: 10 },
      { number: 1, sentAt: 20 },
    ]);
    expect(check.tally).toEqual({ received: 2, repeated: 0, corrupted: 0 });
    expect(check.missing.size).toBe(0);
  });

  it("counts what is lost, repeated, torn or too much", () => {
    const check = new EchoCheck(0);
    for (let i = 0; i < 5; i++) check.next(i);
    check.take("0\n0\n1x\n3\n99\n");
    expect(check.tally).toEqual({ received: 2, repeated: 1, corrupted: 2 });
    expect([...check.missing.keys()]).toEqual([1, 2, 4]);
    check.take("1\n2\n4\n4");
    expect(check.tally.corrupted).toBe(3);
  });
});

describe("content", () => {
  it("is the key stream that openssl makes of the same seed", () => {
    const key = createHash("sha256").update("film").digest("hex").slice(0, 32);
    const length = 3_000_001;
    const oracle = execFileSync("openssl", ["enc", "-aes-128-ctr", "-K", key, "-iv", "0".repeat(32)], { input: Buffer.alloc(length), maxBuffer: 2 * length });
    expect(Buffer.concat([...content("film", length)]).equals(oracle)).toBe(true);
  });

  it("gives every copy of a file the same bytes and time, and keeps a whole one", async () => {
    const directory = scratch();
    const [a, b] = [join(directory, "a"), join(directory, "b")];
    const first = await makeFile(a, "s", 100_000);
    expect(await makeFile(b, "s", 100_000)).toBe(first);
    expect(statSync(a).mtimeMs).toBe(statSync(b).mtimeMs);
    expect(await fileHash(b)).toBe(first);
    const { ino } = statSync(a);
    expect(await makeFile(a, "s", 100_000)).toBe(first);
    expect(statSync(a).ino).toBe(ino);
    expect(await makeFile(a, "other", 100_000)).not.toBe(first);
    expect(statSync(a).ino).not.toBe(ino);
  });
});

describe("workload programs", () => {
  it("echo: sends at its period and finds the exchange exact", async () => {
    const port = await listening(createServer((socket) => socket.pipe(socket)));
    const { exit, lines } = await workload(["echo", "--to", "::1", "--port", String(port), "--period", "5"], 300);
    const end = lines.at(-1) as Line;
    expect(end).toMatchObject({ type: "end", ok: true, lost: 0, repeated: 0, reason: null });
    expect(exit).toBe(0);
    expect(lines[0]).toMatchObject({ type: "start", workload: "echo", localPort: expect.any(Number) as number });
    const logged = lines.flatMap((line) => (line.type === "lines" ? (line.lines as number[][]) : []));
    expect(logged.map(([n]) => n)).toEqual(Array.from({ length: end.sent as number }, (_, i) => i));
    expect(logged.every(([, sent, received]) => (received as number) >= (sent as number))).toBe(true);
  });

  it("echo: a server that swallows a line is found out", async () => {
    let swallowed = false;
    const answer = (socket: Socket) => (data: Buffer) => {
      if (!swallowed && data.toString().startsWith("7\n")) swallowed = true;
      else socket.write(data);
    };
    const port = await listening(createServer((socket) => socket.setNoDelay(true).on("data", answer(socket)).on("end", () => socket.end())));
    const run = workload(["echo", "--to", "::1", "--port", String(port), "--period", "20", "--patience", "300"], 400);
    const { exit, lines } = await run;
    expect(lines.at(-1)).toMatchObject({ ok: false, lost: 1, missing: [[7, expect.any(Number) as number]] });
    expect(exit).toBe(1);
  });

  it.skipIf(!has("curl"))("download: an unmodified curl, its progress, its account and the hash", async () => {
    const body = Buffer.concat([...content("d", 3_000_000)]);
    const server = createHttpServer((_, response) => {
      response.writeHead(200, { "content-length": body.length });
      response.write(body.subarray(0, 1_000_000));
      setTimeout(() => response.end(body.subarray(1_000_000)), 250);
    });
    const port = await listening(server);
    const { exit, lines } = await workload(["download", "--url", `http://[::1]:${port}/film.bin`]);
    expect(exit).toBe(0);
    expect(lines.at(-1)).toMatchObject({ type: "end", ok: true, bytes: body.length, sha256: createHash("sha256").update(body).digest("hex"), curl: { http_code: 200, size_download: body.length, local_port: expect.any(Number) as number } });
    const progress = lines.flatMap((line) => (line.type === "progress" ? [line.bytes as number] : []));
    expect(progress.some((bytes) => bytes > 0 && bytes < body.length)).toBe(true);
  });

  it.skipIf(!has("curl"))("upload: the server gets the bytes that the log names", async () => {
    const server = createHttpServer((request, response) => {
      const hash = createHash("sha256");
      request.on("data", (chunk: Buffer) => hash.update(chunk)).on("end", () => response.end(`${hash.digest("hex")}\n`));
    });
    const port = await listening(server);
    const { exit, lines } = await workload(["upload", "--url", `http://[::1]:${port}/inbox/u`, "--bytes", "2000000", "--seed", "s"]);
    const end = lines.at(-1) as Line;
    expect(exit).toBe(0);
    expect(end).toMatchObject({ ok: true, bytes: 2_000_000, answer: `${end.sha256 as string}\n` });
  });

  it.skipIf(!has("curl"))("download: stopped or refused, it says why and leaves nothing behind", async () => {
    const server = createHttpServer((_, response) => response.writeHead(200, { "content-length": 1000 }).flushHeaders());
    const port = await listening(server);
    const stopped = await workload(["download", "--url", `http://[::1]:${port}/`], 200);
    expect(stopped.lines.at(-1)).toMatchObject({ ok: false, reason: "stopped" });
    server.closeAllConnections();
    const refused = await workload(["download", "--url", "http://[::1]:1/"]);
    expect(refused.exit).not.toBe(0);
    expect(refused.lines.at(-1)).toMatchObject({ ok: false, reason: expect.stringMatching(/connect/i) as string });
  });

  it("file: makes a served file and says its hash", async () => {
    const path = join(scratch(), "www/film.bin");
    const { lines } = await workload(["file", "--path", path, "--bytes", "1000", "--seed", "film"]);
    expect(lines[0]).toMatchObject({ type: "file", sha256: createHash("sha256").update(readFileSync(path)).digest("hex") });
  });
});
