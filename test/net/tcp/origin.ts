import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** An origin server that behaves as its paths say. Its argument is its name, its port 8080 on ::1. */
const name = process.argv[2] ?? "";
export const bodyBytes = 20_000_000;
const body = Buffer.alloc(bodyBytes);
for (let i = 0; i < bodyBytes; i++) body[i] = (i * 7 + (i >>> 8) * 13 + (i >>> 16)) & 0xff;

function serve(request: IncomingMessage, response: ServerResponse): void {
  switch (request.url) {
    case "/ranged":
      return send(request, response, '"one"', true);
    case "/whole": // knows no ranges: answers 200 with everything
      return send(request, response, '"one"', false);
    case "/differs": // another version on each member
      return send(request, response, `"${name}"`, true);
    case "/weak":
      return send(request, response, 'W/"one"', true);
    case "/slow":
      setTimeout(() => response.end(`slow answer`), 700);
      return;
    case "/post": {
      let bytes = 0;
      request.on("data", (part: Buffer) => (bytes += part.length));
      request.on("end", () => response.end(`${request.method} ${bytes}`));
      return;
    }
    default:
      response.statusCode = 404;
      response.end("nothing here");
  }
}

function send(request: IncomingMessage, response: ServerResponse, etag: string, ranges: boolean): void {
  const wanted = ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") : null;
  const ifRange = request.headers["if-range"];
  response.setHeader("ETag", etag);
  if (!wanted || (ifRange !== undefined && ifRange !== etag)) {
    response.setHeader("Content-Length", bodyBytes);
    response.end(body);
    return;
  }
  const first = Number(wanted[1]);
  const last = wanted[2] ? Number(wanted[2]) : bodyBytes - 1;
  response.statusCode = 206;
  response.setHeader("Content-Range", `bytes ${first}-${last}/${bodyBytes}`);
  response.setHeader("Content-Length", last - first + 1);
  response.end(body.subarray(first, last + 1));
}

createServer(serve).listen(8080, "::1", () => console.log("listening"));
