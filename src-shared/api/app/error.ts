import type { AppErrorText } from "../app.ts";

/** An error with a stable code that crosses between window and manager. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: string;
  readonly remedy: string | null;
  readonly host: string | null;

  constructor(code: string, message: string, more: { readonly remedy?: string | null; readonly host?: string | null; readonly cause?: unknown } = {}) {
    super(message, { cause: more.cause });
    this.code = code;
    this.remedy = more.remedy ?? null;
    this.host = more.host ?? null;
  }
}

const cut = (text: string, length: number) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** Any thrown value as it crosses: its code, remedy and host if it has them, never its stack. */
export function errorText(thrown: unknown): AppErrorText {
  const from = (typeof thrown === "object" && thrown !== null ? thrown : {}) as Record<string, unknown>;
  const text = (key: string, length: number) => (typeof from[key] === "string" && from[key] !== "" ? cut(from[key] as string, length) : null);
  return {
    code: text("code", 100) ?? "internal",
    message: text("message", 4000) ?? cut(String(thrown), 4000),
    remedy: text("remedy", 4000),
    host: text("host", 300),
  };
}

export function errorFrom(text: AppErrorText): AppError {
  return new AppError(text.code, text.message, { remedy: text.remedy, host: text.host });
}
