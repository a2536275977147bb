/** What the simulated lab should be like. It is for building, looking at and testing the window; it measures nothing. */
export interface MemoryOptions {
  /** `ready`: a lab is up. `empty`: a first start. `broken`: things have gone wrong. `refusing`: every call fails. */
  readonly scene: "ready" | "empty" | "broken" | "refusing";
  readonly hosts: number;
  readonly clients: number;
  readonly sites: number;
  readonly eventsPerSecond: number;
  readonly handoffsPerMinute: number;
  /** Names, banners, log lines and event fields try to break out of where they are shown. */
  readonly hostile: boolean;
  /** Divides how long tasks and runs take. */
  readonly speed: number;
  readonly seed: number;
}

export const quietLab: MemoryOptions = { scene: "ready", hosts: 6, clients: 2, sites: 3, eventsPerSecond: 4, handoffsPerMinute: 12, hostile: false, speed: 1, seed: 1 };

const presets: Readonly<Record<string, Partial<MemoryOptions>>> = {
  ready: {},
  empty: { scene: "empty" },
  broken: { scene: "broken" },
  refusing: { scene: "refusing" },
  big: { hosts: 100, clients: 500, sites: 12, handoffsPerMinute: 240, eventsPerSecond: 50 },
  firehose: { hosts: 12, clients: 40, sites: 5, eventsPerSecond: 2000, handoffsPerMinute: 120 },
  hostile: { hostile: true },
};

/** "big", or "big,hostile,speed=20": presets and single settings, later ones win. Throws RangeError naming what is not known. */
export function memoryOptions(text: string): MemoryOptions {
  return text.split(",").filter(Boolean).reduce((options, word) => ({ ...options, ...setting(word) }), quietLab);
}

function setting(word: string): Partial<MemoryOptions> {
  const [key = "", value] = word.split("=");
  if (value === undefined && presets[key]) return presets[key];
  if (value !== undefined && typeof quietLab[key as keyof MemoryOptions] === "number" && Number.isFinite(Number(value))) return { [key]: Number(value) };
  throw new RangeError(`"${word}" is no setting of the simulated lab; there are ${Object.keys(presets).join(", ")}, and name=number`);
}
