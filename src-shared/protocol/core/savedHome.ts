import { parseAddress, type Address } from "../../net/address.ts";
import type { HomeAgent, HomeService } from "./homeAgent.ts";
import { newHomeAgent } from "./homeAgent.ts";
import { LIFETIME_UNIT_S } from "./limits.ts";
import type { Effect, Millis, Step } from "./step.ts";
import { ntpTimestamp } from "./timestamp.ts";

/** What must outlive a restart of the home agent: the fence, the replay memory and the binding. Holds no keys. JSON as it is. */
export interface SavedHome {
  readonly version: 1;
  readonly home: string;
  readonly maxLifetimeSeconds: number;
  readonly onLink: boolean;
  readonly newestSpi: number;
  /** A 64-bit number in decimal. */
  readonly newestTimestamp: string;
  /** `expiresAtWall` in ms since 1970: monotonic clocks do not outlive a machine. */
  readonly binding: { readonly careOf: string; readonly sequence: number; readonly expiresAtWall: number; readonly spi: number } | null;
}

/** What was read is not a saved home agent. */
export class SavedHomeError extends Error {
  readonly code = "bad-saved-home";
}

/** To be written after each step that changed it. `wall` is the clock in ms since 1970. */
export function saveHome(state: HomeAgent, now: Millis, wall: number): SavedHome {
  const binding = state.phase === "registered" ? { careOf: state.careOf, sequence: state.sequence, expiresAtWall: wall + (state.expiresAt - now), spi: state.spi } : null;
  const { home, maxLifetimeSeconds, onLink } = state.service;
  return { version: 1, home, maxLifetimeSeconds, onLink, newestSpi: state.newestSpi, newestTimestamp: String(state.newestTimestamp), binding };
}

/**
 * A home agent as it was saved; the effects set up what its data plane had. A binding that has run out meanwhile is not restored, the fence always is.
 * It has no keys until `configure` brings them. Throws SavedHomeError naming what is wrong; then start with `newHomeAfterLoss`.
 */
export function restoreHome(home: Address, saved: unknown, now: Millis, wall: number): Step<HomeAgent> {
  const { newestSpi, newestTimestamp, binding, maxLifetimeSeconds, onLink } = checked(saved, home);
  const service: HomeService = { home, associations: [], maxLifetimeSeconds, onLink };
  const base = { ...newHomeAgent(service, now), newestSpi, newestTimestamp: BigInt(newestTimestamp) };
  const leftMs = binding ? binding.expiresAtWall - wall : 0;
  if (!binding || leftMs <= 0) return { state: base, effects: [] };
  const careOf = parseAddress(binding.careOf);
  // A wall clock that was set back must not prolong it without bound.
  const expiresAt = now + Math.min(leftMs, maxLifetimeSeconds * 1000);
  const defend: Effect[] = onLink ? [{ do: "defend", home }] : [];
  const { sequence, spi } = binding;
  return { state: { ...base, phase: "registered", careOf, sequence, expiresAt, spi }, effects: [...defend, { do: "tunnel", home, careOf }], wakeAt: expiresAt };
}

/**
 * When what was saved is lost: only the newest epoch that we are told of may register, and only by a message id younger than `wall`, so that nothing
 * from before can be replayed. A contact whose clock is behind is told ours (status 144) and follows it.
 */
export function newHomeAfterLoss(service: HomeService, now: Millis, wall: number): HomeAgent {
  const newestSpi = Math.max(0, ...service.associations.map(({ spi }) => spi));
  return { ...newHomeAgent(service, now), newestSpi, newestTimestamp: ntpTimestamp(wall) };
}

function checked(saved: unknown, home: Address): SavedHome {
  const s = record(saved, "the whole");
  if (s.version !== 1) throw new SavedHomeError(`version is ${String(s.version)}, this agent reads 1`);
  if (s.home !== home) throw new SavedHomeError(`it is about home address ${String(s.home)}, not ${home}`);
  if (typeof s.onLink !== "boolean") throw new SavedHomeError("onLink is neither true nor false");
  whole(s.maxLifetimeSeconds, "maxLifetimeSeconds", 0xffff * LIFETIME_UNIT_S);
  whole(s.newestSpi, "newestSpi", 0xffffffff);
  if (typeof s.newestTimestamp !== "string" || !/^\d{1,20}$/.test(s.newestTimestamp)) throw new SavedHomeError("newestTimestamp is not a decimal number");
  if (s.binding !== null) {
    const b = record(s.binding, "binding");
    whole(b.sequence, "binding.sequence", 0xffff);
    whole(b.spi, "binding.spi", 0xffffffff);
    if (typeof b.expiresAtWall !== "number" || !Number.isFinite(b.expiresAtWall)) throw new SavedHomeError("binding.expiresAtWall is not a time");
    address(b.careOf);
  }
  return s as unknown as SavedHome;
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new SavedHomeError(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function whole(value: unknown, what: string, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > most) throw new SavedHomeError(`${what} is not a whole number from 0 to ${most}`);
}

function address(value: unknown): void {
  try {
    parseAddress(String(value));
  } catch {
    throw new SavedHomeError("binding.careOf is not an IPv6 address");
  }
}
