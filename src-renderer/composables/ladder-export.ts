/** Properties that the drawing takes from style sheets, to be written onto its elements so that the file looks the same anywhere. */
const carried = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "paint-order", "opacity", "font-family", "font-size", "font-weight", "text-anchor"] as const;

/** The drawing as a file of its own: styles resolved, no script, no reference to anything outside. */
export function standaloneSvg(drawing: SVGSVGElement): string {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  const copies = [copy, ...copy.querySelectorAll("*")];
  originals.forEach((original, i) => {
    const style = getComputedStyle(original);
    const target = copies[i] as SVGElement;
    target.removeAttribute("class");
    target.removeAttribute("style");
    if (original instanceof SVGTitleElement || original instanceof SVGDefsElement) return;
    for (const name of carried) {
      const value = style.getPropertyValue(name);
      if (value && value !== "none" && !target.getAttribute(name)?.startsWith("url(")) target.setAttribute(name, value.replace(/url\("(#[\w-]+)"\)/g, "url($1)"));
      else if (value === "none" && (name === "fill" || name === "stroke")) target.setAttribute(name, "none");
    }
  });
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  back.setAttribute("width", "100%");
  back.setAttribute("height", "100%");
  back.setAttribute("fill", getComputedStyle(document.documentElement).getPropertyValue("--panel").trim());
  copy.prepend(back);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
}

/** Offers text as a file to keep. */
export function saveFile(name: string, type: string, content: string | Uint8Array<ArrayBuffer>): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
