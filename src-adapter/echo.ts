import type { Service } from "./library.ts";

/** Sends back what it gets (RFC 862). It has no state of its own: what it has not sent yet is the library's to move. */
export function echoService(at: { readonly name: string; readonly port: number; readonly home?: string }): Service {
  return {
    ...at,
    version: "1",
    onConnection: (connection) => ({
      data: (bytes) => {
        if (!connection.write(bytes)) connection.pause();
      },
      end: () => connection.end(),
      drain: () => connection.resume(),
      gone: () => {},
      save: () => new Uint8Array(0),
    }),
  };
}
