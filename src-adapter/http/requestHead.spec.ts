import { describe, expect, it } from "vitest";
import { bodyStart, readBody, type BodyPosition } from "./bodyReader.ts";
import { BadRequest, maximumHead, readRequestHead } from "./requestHead.ts";

const read = (text: string) => readRequestHead(Buffer.from(text, "latin1"));
const head = (text: string) => read(text)?.head;
const get = (fields = "Host: x\r\n", line = "GET / HTTP/1.1") => `${line}\r\n${fields}\r\n`;

describe("request head", () => {
  it("reads what curl sends", () => {
    const text = "GET /film?x=1 HTTP/1.1\r\nHost: [2001:db8::1]\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\nrest";
    expect(read(text)).toEqual({
      head: { method: "GET", target: "/film?x=1", minor: 1, fields: [["host", "[2001:db8::1]"], ["user-agent", "curl/7.88.1"], ["accept", "*/*"]], body: { kind: "none" }, keepAlive: true, expectsContinue: false },
      length: text.length - 4,
    });
  });

  it("waits for the whole head, byte by byte", () => {
    const text = get();
    for (let length = 0; length < text.length; length++) expect(read(text.slice(0, length)), `${length} bytes`).toBeNull();
    expect(read(text)?.length).toBe(text.length);
  });

  it("knows how the body is framed and whether the connection stands", () => {
    expect(head(get("Host: x\r\nContent-Length: 12\r\nExpect: 100-continue\r\n", "PUT /a HTTP/1.1"))).toMatchObject({ body: { kind: "length", length: 12 }, expectsContinue: true });
    expect(head(get("Host: x\r\nTransfer-Encoding: Chunked\r\n", "POST /a HTTP/1.1"))).toMatchObject({ body: { kind: "chunked" } });
    expect(head(get("Host: x\r\nConnection: foo, Close\r\n"))).toMatchObject({ keepAlive: false });
    expect(head(get("", "GET / HTTP/1.0"))).toMatchObject({ minor: 0, keepAlive: false });
    expect(head(get("Connection: keep-alive\r\n", "GET / HTTP/1.0"))).toMatchObject({ keepAlive: true });
    expect(head(get("Host: x\r\n", "GET http://x/a?b HTTP/1.1"))?.target).toBe("/a?b");
    expect(head(`\r\n\r\n${get()}`)?.target).toBe("/");
  });

  it.each([
    [400, "two lengths that differ", get("Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n")],
    [400, "a list of lengths", get("Host: x\r\nContent-Length: 1, 1\r\n")],
    [400, "a signed length", get("Host: x\r\nContent-Length: +1\r\n")],
    [400, "both framings", get("Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n")],
    [501, "another coding", get("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n")],
    [400, "chunked in HTTP/1.0", get("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0")],
    [400, "a space before the colon", get("Host: x\r\nContent-Length : 1\r\n")],
    [400, "a folded line", get("Host: x\r\nA: b\r\n c\r\n")],
    [400, "a bare line feed in a value", get("Host: x\r\nA: b\nContent-Length: 1\r\n")],
    [400, "no Host", get("")],
    [400, "two Hosts", get("Host: x\r\nHost: y\r\n")],
    [400, "no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n"],
    [400, "a space in the target", get("Host: x\r\n", "GET /a b HTTP/1.1")],
    [505, "HTTP/2.0", get("Host: x\r\n", "GET / HTTP/2.0")],
    [501, "CONNECT", get("Host: x\r\n", "CONNECT x:1 HTTP/1.1")],
    [431, "an endless head", `GET / HTTP/1.1\r\nA: ${"x".repeat(maximumHead)}`],
    [431, "very many fields", get(`Host: x\r\n${"A: b\r\n".repeat(300)}`)],
  ])("answers %i to %s", (status, _, text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ status }) as BadRequest);
  });
});

describe("request body", () => {
  /** Reads `text` in pieces of `size`, the way a connection gives it; unread input stays. */
  function inPieces(start: BodyPosition, text: string, size: number) {
    let position = start;
    let body = "";
    let left = Buffer.alloc(0);
    for (let at = 0; at < text.length; at += size) {
      // The position is plain data and survives a move.
      position = JSON.parse(JSON.stringify(position)) as BodyPosition;
      const result = readBody(position, Buffer.concat([left, Buffer.from(text.slice(at, at + size), "latin1")]));
      const input = Buffer.concat([left, Buffer.from(text.slice(at, at + size), "latin1")]);
      body += Buffer.concat([...result.data]).toString("latin1");
      left = Buffer.from(input.subarray(result.used));
      position = result.position;
    }
    return { position, body, left: left.toString("latin1") };
  }

  it("reads both framings in pieces of any size and leaves the next request alone", () => {
    const chunked = "5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET";
    for (const size of [1, 2, 3, 7, 1000]) {
      expect(inPieces(bodyStart({ kind: "chunked" }), chunked, size)).toEqual({ position: { kind: "done" }, body: "hello 0123456789", left: "GET" });
      expect(inPieces(bodyStart({ kind: "length", length: 4 }), "bodyGET", size)).toEqual({ position: { kind: "done" }, body: "body", left: "GET" });
    }
    expect(bodyStart({ kind: "length", length: 0 })).toEqual({ kind: "done" });
  });

  it.each(["zz\r\n", "-1\r\n", "\r\n", "5\r\nhelloX\r\n", `${"1".repeat(5000)}`])("refuses %j as chunks", (text) => {
    expect(() => readBody(bodyStart({ kind: "chunked" }), Buffer.from(text))).toThrow(BadRequest);
  });
});
