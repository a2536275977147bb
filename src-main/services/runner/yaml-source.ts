import { isNode, LineCounter, parseDocument, type Document } from "yaml";

/** Something wrong in a file of the user's. Line and column count from 1; `path` is where in the document, such as `steps[2].handOver.to`. */
export interface SourceIssue {
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

export type SourcePath = readonly (string | number)[];

/** A YAML document that still knows on which line each of its values stands. */
export class YamlSource {
  readonly file: string;
  readonly value: unknown;
  /** Syntax errors; `value` is not to be trusted when there are any. */
  readonly syntax: readonly SourceIssue[];
  readonly #document: Document;
  readonly #lines = new LineCounter();

  constructor(file: string, text: string) {
    this.file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, uniqueKeys: true, strict: true });
    this.syntax = this.#document.errors.map((error) => ({ ...this.#place(error.pos[0]), path: "", message: (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "") }));
    this.value = this.syntax.length === 0 ? this.#document.toJS({ maxAliasCount: 100 }) : undefined;
  }

  /** An issue at a path. Where the path ends in something that is not there, the place is that of the nearest thing around it. */
  issue(path: SourcePath, message: string): SourceIssue {
    return { ...this.#place(this.#offset(path)), path: pathText(path), message };
  }

  #offset(path: SourcePath): number {
    for (let length = path.length; length > 0; length--) {
      const node = this.#document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return 0;
  }

  #place(offset: number): { readonly line: number; readonly column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

/** `steps[2].handOver.to` */
export function pathText(path: SourcePath): string {
  return path.reduce<string>((text, part) => (typeof part === "number" ? `${text}[${part}]` : text ? `${text}.${part}` : part), "");
}

/** `file:line:column: path: message` */
export function issueText(file: string, issue: SourceIssue): string {
  return `${file}:${issue.line}:${issue.column}: ${issue.path ? `${issue.path}: ` : ""}${issue.message}`;
}
