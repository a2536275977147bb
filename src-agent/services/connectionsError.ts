/** Why a client's connections could not be released or adopted; the codes are listed at `Connections` in src-agent/ports.ts. */
export class ConnectionsError extends Error {
  readonly code: "refused" | "bad-bundle" | "no-service" | "restore-failed";
  constructor(code: ConnectionsError["code"], message: string) {
    super(message);
    this.name = "ConnectionsError";
    this.code = code;
  }
}
