const escape = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (title: string, body: string, head = "") => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">${head}
<title>${escape(title)}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1.5rem}h1{font-size:1.2rem}code{font-family:ui-monospace,monospace}</style>
<h1>${escape(title)}</h1>${body}</html>
`;

/** Goes on to the window by itself: a redirect would not carry the new SameSite=Strict cookie when the link was clicked on another page. */
export const enterPage = page("Anycast Lab", `<p>Opening the window… <a href="/">Go on</a> if nothing happens.</p>`, `<meta http-equiv="refresh" content="0;url=/">`);

export const usedLinkPage = page("This link was used already, or is too old", "<p>A link opens the window once, within ten minutes. Ask the running Anycast Lab for a new one: press <b>Enter</b> in its terminal.</p>");

export const noCookiePage = page("This browser has not been let in", "<p>Open the link that Anycast Lab printed in its terminal. It lets one browser in; press <b>Enter</b> there for another.</p>");

export function refusalPage(reason: string): string {
  return page("Not answered", `<p>${escape(reason)}</p>`);
}
