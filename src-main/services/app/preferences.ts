import { join } from "node:path";
import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { defaultPreferences, preferences, type Preferences } from "../../../src-shared/api/app/preferences.ts";
import { configFolder, readJson, writeOwn } from "./places.ts";
import type { Emit } from "./store.ts";

/** What windows remember, in a file of the user's. One that cannot be understood counts as none. */
export class PreferenceFile {
  readonly #emit: Emit;
  readonly #path = join(configFolder(), "window.json");
  #current: Promise<Preferences>;

  constructor(emit: Emit) {
    this.#emit = emit;
    this.#current = readJson(this.#path).then((value) => {
      const read = preferences.partial().safeParse(value);
      return { ...defaultPreferences, ...(read.success && read.data) };
    });
  }

  readonly handlers = {
    "preferences.set": async ({ change }) => {
      const now = { ...(await this.#current), ...change };
      this.#current = Promise.resolve(now);
      await writeOwn(this.#path, `${JSON.stringify(now, null, 1)}\n`);
      this.#emit("preferences.changed", now);
      return now;
    },
  } satisfies Partial<AppHandlers>;

  current(): Promise<Preferences> {
    return this.#current;
  }
}
