import type { DataPlane } from "./ports.ts";

/** What is done for one client or one binding: it may fail for want of room, and others must not suffer for it. */
const perClient: ReadonlySet<PropertyKey> = new Set<keyof DataPlane>(["bind", "unbind", "optimise", "unoptimise", "serve", "unserve", "relay", "unrelay", "hold", "release", "discard"]);

/**
 * A data plane whose tables may be full. Peers decide how many clients and bindings there are, so a call about one of them that fails is told to `refused`
 * and otherwise goes on: such a client is served through the tunnel, or by the host's stack alone. Whatever concerns a home address still throws.
 */
export function forgivingPlane(plane: DataPlane, refused: (call: string, error: unknown) => void): DataPlane {
  return new Proxy(plane, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: readonly unknown[]): unknown => {
        try {
          return Reflect.apply(member, target, args);
        } catch (error) {
          if (!perClient.has(name)) throw error;
          refused(String(name), error);
          return undefined;
        }
      };
    },
  });
}
