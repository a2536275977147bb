import { STATUS_CODES } from "node:http";

/** A whole HTTP/1.1 answer of our own. `close` says that the connection ends after it. */
export function plainAnswer(status: number, text: string, options: { readonly close: boolean; readonly contentType?: string; readonly headOnly?: boolean }): Buffer {
  const body = Buffer.from(`${text}\n`);
  const head = answerHead(status, STATUS_CODES[status] ?? "", [
    ["Content-Type", options.contentType ?? "text/plain; charset=utf-8"],
    ["Content-Length", String(body.length)],
    ["Connection", options.close ? "close" : "keep-alive"],
  ]);
  return options.headOnly ? head : Buffer.concat([head, body]);
}

export function answerHead(status: number, reason: string, fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} ${reason}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`, "latin1");
}

export const continueAnswer = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
