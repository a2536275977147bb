/** Bidirectional controls (UAX #9) and other characters that change how their neighbours look, or are not seen at all. */
// oxlint-disable-next-line no-control-regex -- finding them is the point
const deceptive = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;

/**
 * Text from outside as one honest line: control and bidirectional characters become visible marks, so that nothing is hidden, reversed or
 * split over lines. Markup needs no care here: the window only ever sets text.
 */
export function plain(text: string): string {
  return text.replace(deceptive, (char) => {
    const code = char.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "␡" : `⟨${code.toString(16).padStart(4, "0")}⟩`;
  });
}

/** The same for text of many lines, which keep their ends. */
export function plainLines(text: string): string {
  return text.split("\n").map(plain).join("\n");
}

/** As `plain`, at most `length` letters; what is cut off is marked. */
export function cutText(text: string, length: number): string {
  const shown = [...plain(text)];
  return shown.length > length ? `${shown.slice(0, Math.max(1, length - 1)).join("")}…` : shown.join("");
}
