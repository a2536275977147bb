/** A request that this agent, as it stands, cannot carry out. `code` is stable. */
export class AgentError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
