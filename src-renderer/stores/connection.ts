import { defineStore } from "pinia";
import { inject, type InjectionKey, markRaw, shallowRef } from "vue";
import { appProtocolVersion, type AppValue } from "../../src-shared/api/app/calls.ts";
import type { AppApi } from "../../src-shared/api/app/client.ts";
import type { Connection, ConnectionState } from "../backend/connection.ts";

export const connectionKey: InjectionKey<Connection> = Symbol("connection");

/** The connection to the manager and what it said of itself. */
export const useConnection = defineStore("connection", () => {
  const connection = inject(connectionKey);
  if (!connection) throw new Error("the window has no connection");
  const state = shallowRef<ConnectionState>(connection.state);
  const hello = shallowRef<AppValue<"app.hello"> | null>(null);
  const problem = shallowRef<Error | null>(null);
  const loaders: (() => Promise<void> | void)[] = [];

  /** `load` runs now if we are connected, and after every reconnection. */
  function onReady(load: () => Promise<void> | void): void {
    loaders.push(load);
    if (hello.value && state.value.is === "open") void load();
  }

  async function greet(): Promise<void> {
    try {
      hello.value = await api.call("app.hello", { protocol: appProtocolVersion });
      problem.value = null;
      for (const load of loaders) void load();
    } catch (error) {
      problem.value = error as Error;
    }
  }

  const api: AppApi = markRaw(connection.api);
  connection.onState((next) => {
    state.value = next;
    if (next.is === "open") void greet();
  });
  if (connection.state.is === "open") void greet();
  return { api, state, hello, problem, onReady, retry: () => connection.retry() };
});
