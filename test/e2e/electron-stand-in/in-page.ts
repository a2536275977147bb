/** What these functions use of a page; the tests as a whole are not typed as one. */
interface PageDocument {
  addEventListener(name: string, listener: (event: { readonly detail: unknown }) => void): void;
  dispatchEvent(event: unknown): boolean;
}
declare const document: PageDocument;
declare const window: object;
declare const location: { readonly href: string };

/**
 * Functions that run inside Chromium: their text is put into the page, so each must stand alone.
 * `codec` is used on both sides. It carries what the structured clone would, of what our frames hold, and refuses what that refuses.
 */
export function codec() {
  const toBase64 = (bytes: Uint8Array) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
  const encode = (value: unknown): unknown => {
    if (value === undefined) return { $: "undefined" };
    if (value === null || typeof value === "boolean" || typeof value === "string" || (typeof value === "number" && Number.isFinite(value))) return value;
    if (value instanceof Uint8Array) return { $: "bytes", of: toBase64(value) };
    if (Array.isArray(value)) return value.map(encode);
    if (typeof value === "object" && !(value instanceof Map) && !(value instanceof Set)) return { $: "object", of: Object.entries(value).map(([key, item]) => [key, encode(item)]) };
    throw new Error("An object could not be cloned.");
  };
  const decode = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(decode);
    if (value === null || typeof value !== "object") return value;
    const { $: kind, of } = value as { $: string; of: never };
    if (kind === "undefined") return undefined;
    if (kind === "bytes") return Uint8Array.from(atob(of), (char) => char.charCodeAt(0));
    return Object.fromEntries((of as [string, unknown][]).map(([key, item]) => [key, decode(item)]));
  };
  return { encode, decode };
}

/** Main world: what the preload script exposed appears as frozen functions whose arguments cross by structured clone; functions among them can be called back. */
export function mainWorld(channel: string): void {
  const callbacks = new Map<number, (...args: unknown[]) => void>();
  let next = 1;
  document.addEventListener(`${channel}-expose`, (event) => {
    const { name, methods } = event.detail as { name: string; methods: string[] };
    const api = Object.fromEntries(
      methods.map((method) => [
        method,
        (...args: unknown[]) => {
          const packed = args.map((arg) => (typeof arg === "function" ? { callback: (callbacks.set(next, arg as never), next++) } : { plain: structuredClone(arg) }));
          document.dispatchEvent(new CustomEvent(`${channel}-call`, { detail: { method, args: packed } }));
        },
      ]),
    );
    Object.defineProperty(window, name, { value: Object.freeze(api), enumerable: true });
  });
  document.addEventListener(`${channel}-callback`, (event) => {
    const { callback, args } = event.detail as { callback: number; args: unknown[] };
    callbacks.get(callback)?.(...args);
  });
}

/** Isolated world: runs the preload script with a `require` that knows only electron's contextBridge and ipcRenderer, as a sandboxed one has. */
export function preloadWorld(makeCodec: typeof codec, channel: string, preload: string): void {
  const { encode, decode } = makeCodec();
  const world = globalThis as unknown as { standInSend(text: string): void; standInReceive(message: { channel: string; args: unknown[] }): void };
  const send = world.standInSend;
  const listeners = new Map<string, ((...args: unknown[]) => void)[]>();
  const ipcRenderer = {
    send: (to: string, ...args: unknown[]) => send(JSON.stringify({ channel: to, url: location.href, args: args.map(encode) })),
    on: (from: string, listener: (...args: unknown[]) => void) => void listeners.set(from, [...(listeners.get(from) ?? []), listener]),
  };
  world.standInReceive = ({ channel: from, args }) => {
    for (const listener of listeners.get(from) ?? []) listener({}, ...args.map(decode));
  };
  const contextBridge = {
    exposeInMainWorld: (name: string, api: Record<string, (...args: unknown[]) => void>) => {
      document.addEventListener(`${channel}-call`, (event) => {
        const { method, args } = event.detail as { method: string; args: ({ callback: number } | { plain: unknown })[] };
        api[method]?.(...args.map((arg) => ("plain" in arg ? arg.plain : (...given: unknown[]) => void document.dispatchEvent(new CustomEvent(`${channel}-callback`, { detail: { callback: arg.callback, args: given } })))));
      });
      document.dispatchEvent(new CustomEvent(`${channel}-expose`, { detail: { name, methods: Object.keys(api) } }));
    },
  };
  const require = (name: string) => {
    if (name === "electron") return { contextBridge, ipcRenderer };
    throw new Error(`a sandboxed preload script cannot require ${name}`);
  };
  new Function("require", "module", "exports", preload)(require, { exports: {} }, {});
}
