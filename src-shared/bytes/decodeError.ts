/** Why received bytes were refused: a stable `code` for counters and tests, and the name of the field at fault. */
export class DecodeError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly field: string;

  constructor(code: Code, field: string, detail?: string) {
    super(`${code}: ${field}${detail === undefined ? "" : ` (${detail})`}`);
    this.name = "DecodeError";
    this.code = code;
    this.field = field;
  }
}
