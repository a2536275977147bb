/** A piece of HTML that is already safe to put into a page. Only `html` makes them. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Markup | string | number | null | undefined | false | readonly Piece[];

/**
 * HTML (or SVG) with values put in: everything is escaped except other Markup, so text from hosts can't become elements, attributes or scripts.
 * Attribute values must stand in double quotes.
 */
export function html(parts: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + part + (i < values.length ? render(values[i]) : ""), ""));
}

function render(piece: Piece): string {
  if (piece === null || piece === undefined || piece === false) return "";
  if (piece instanceof Markup) return piece.text;
  if (Array.isArray(piece)) return (piece as readonly Piece[]).map(render).join("");
  return escape(String(piece));
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Escapes markup, and shows control characters and those that reorder text as their code, so that a name can't disguise another. */
function escape(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, (c) => ("\t\n\r".includes(c) ? c : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`))
    .replace(/[&<>"']/g, (c) => entities[c] as string);
}

/** A number for people: at most `digits` behind the point, a dash for null. */
export function figure(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: Number.isInteger(value) ? 0 : digits });
}
