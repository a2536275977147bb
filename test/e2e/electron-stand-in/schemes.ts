import type { BrowserContext, Frame, Request as PageRequest, Route } from "playwright-core";

export type SchemeHandler = (request: Request) => Response | Promise<Response>;

/** Custom schemes are shown to Chromium as hosts below localhost, which count as secure: app://lab/x is http://lab.app.localhost/x there. */
export class Schemes {
  readonly #privileged = new Set<string>();
  readonly #handlers = new Map<string, SchemeHandler>();

  declare(scheme: string): void {
    this.#privileged.add(scheme);
  }

  handle(scheme: string, handler: SchemeHandler): void {
    this.#handlers.set(scheme, handler);
  }

  toChromium(url: string): string {
    const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/.exec(url) ?? [];
    if (!scheme || rest === undefined || !this.#privileged.has(scheme)) return url;
    const [host, ...path] = rest.split("/");
    return `http://${host}.${scheme}.localhost/${path.join("/")}`;
  }

  fromChromium(url: string): string {
    return url.replace(/^http:\/\/([^/]*)\.([a-z0-9+-]+)\.localhost/, "$2://$1");
  }

  /** Answers every request of the context: ours from their handlers, inline data as it is, and nothing from the network. `allow` may refuse a navigation. */
  async serve(context: BrowserContext, allow: (url: string, frame: Frame) => boolean): Promise<void> {
    const answer = async (route: Route, request: PageRequest): Promise<void> => {
      const url = this.fromChromium(request.url());
      const handler = this.#handlers.get(url.split(":")[0] ?? "");
      if (request.isNavigationRequest() && !allow(url, request.frame())) return route.abort("aborted");
      if (!handler) return route.abort("accessdenied");
      await fulfil(route, request, url, handler);
    };
    // A page that closes meanwhile needs no answer.
    await context.route("**/*", (route, request) => answer(route, request).catch(() => undefined));
  }
}

async function fulfil(route: Route, request: PageRequest, url: string, handler: SchemeHandler): Promise<void> {
  const response = await handler(new Request(url, { method: request.method(), headers: request.headers() }));
  await route.fulfill({ status: response.status, headers: Object.fromEntries(response.headers), body: Buffer.from(await response.arrayBuffer()) });
}
