/** The agent's version: that of the package it was built from. */
export const version = "0.1.0";
