/** Process exit codes of the command line, by who has to do something. docs/cli.md lists them for people. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, environment: 3, interrupted: 130 } as const;

/** What a Problem says. `code` is stable; `what` and `remedy` are one line each, for a person. */
export interface ProblemText {
  readonly code: string;
  readonly what: string;
  readonly remedy: string;
  /** The host it is about, as people name it. */
  readonly host?: string;
  /** Machine-readable details, never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Longer evidence, such as an agent's last log lines; shown under the two lines. */
  readonly evidence?: string;
  readonly exitCode?: number;
  readonly cause?: unknown;
}

/** Something that went wrong and that a person can act on: what happened, where, and what to do about it. */
export class Problem extends Error {
  override readonly name: string = "Problem";
  readonly code: string;
  readonly remedy: string;
  readonly host: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly evidence: string | undefined;
  readonly exitCode: number;

  constructor(text: ProblemText) {
    super(text.host ? `${text.host}: ${text.what}` : text.what, { cause: text.cause });
    this.code = text.code;
    this.remedy = text.remedy;
    this.host = text.host;
    this.details = text.details ?? {};
    this.evidence = text.evidence;
    this.exitCode = text.exitCode ?? exitCodes.failed;
  }

  toJSON(): Record<string, unknown> {
    return { code: this.code, ...(this.host && { host: this.host }), message: this.message, remedy: this.remedy, ...this.details, ...(this.evidence && { evidence: this.evidence }) };
  }
}

/** Any thrown value as a Problem; what is not one already is a defect of ours or unforeseen, and says so. */
export function asProblem(thrown: unknown, host?: string): Problem {
  if (thrown instanceof Problem) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Problem({ code: "unexpected", what: message, remedy: "Run again with --debug to see where it comes from.", ...(host && { host }), cause: thrown });
}
