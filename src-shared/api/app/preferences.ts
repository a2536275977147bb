import { z } from "zod";

/** What the window remembers. Kept by the manager, since a browser forgets what belongs to another port. */
export const preferences = z.object({
  theme: z.enum(["system", "light", "dark"]),
  tourSeen: z.boolean(),
  reducedMotion: z.boolean(),
});
export type Preferences = z.infer<typeof preferences>;

export const defaultPreferences: Preferences = { theme: "system", tourSeen: false, reducedMotion: false };
