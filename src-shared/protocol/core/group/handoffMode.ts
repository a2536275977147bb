/** How a handoff is signalled: with a fresh home test (the paper's first handoff), or with a home token fetched in advance. */
export type HandoffMode = "full" | "prepared";
