import type { Connection } from "./connection.ts";
import { type Bridge, IpcConnection } from "./ipc.ts";
import { SocketConnection } from "./websocket.ts";

declare global {
  interface Window {
    anycastLab?: Bridge;
  }
}

/** Chooses the way to the manager, once. */
export async function connect(): Promise<Connection> {
  const onDefect = (what: string) => console.error("from the manager:", what);
  if (window.anycastLab) return new IpcConnection(window.anycastLab, onDefect);
  if (import.meta.env.MODE === "memory") return new (await import("./memory.ts")).MemoryConnection(onDefect);
  return new SocketConnection(onDefect);
}
