/** The window's own scheme and address. Nothing else is ever loaded as a page. */
export const scheme = "app";
export const origin = `${scheme}://lab`;
export const startPage = `${origin}/index.html`;

/** Whether an address is one of the window's own pages. */
export function isOurs(url: string): boolean {
  return url === origin || url.startsWith(`${origin}/`);
}

/** The channels between a window's preload script and the manager: one says that a page began, the others carry frames and nothing else. */
export const channels = { begin: "begin", toManager: "to-manager", toWindow: "to-window" } as const;
