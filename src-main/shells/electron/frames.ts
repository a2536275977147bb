/** Between the Electron shell and the manager's process, by structured clone. Windows are numbered by the shell. */
export type ToManager = { readonly open: number } | { readonly close: number } | { readonly window: number; readonly frame: unknown } | { readonly end: true };
export type FromManager = { readonly window: number; readonly frame: unknown };
