import { describe, expect, it } from "vitest";
import type { AppBackend, AppHandlers, AppWindow } from "../app.ts";
import { AppClient } from "./client.ts";
import { dispatch } from "./dispatch.ts";
import { AppError } from "./error.ts";
import { pushFrame } from "./push.ts";

const window: AppWindow = { id: "w", shell: "memory", emit: () => undefined, gone: new AbortController().signal };

function backend(handlers: Partial<AppHandlers>): AppBackend {
  return { handlers: handlers as AppHandlers, connect: () => undefined, close: async () => undefined };
}
const failing = (thrown: unknown) =>
  backend({
    "lab.list": () => {
      throw thrown;
    },
  });

describe("dispatch", () => {
  it.each(["lab.destroy", "constructor", "__proto__", "toString", "hasOwnProperty", ""])("refuses the unknown call %j", async (call) => {
    expect(await dispatch(backend({}), { id: 1, call, args: {} }, window)).toMatchObject({ id: 1, ok: false, error: { code: "unknown-call" } });
  });

  it.each([
    ["missing", {}],
    ["of the wrong type", { lab: 7 }],
    ["too many", { lab: "x", extra: 1 }],
    ["no object", null],
  ])("refuses arguments that are %s before the handler sees them", async (_, args) => {
    const seen: unknown[] = [];
    const reply = await dispatch(backend({ "lab.up": (args) => (seen.push(args), { task: "t" }) }), { id: 1, call: "lab.up", args }, window);
    expect(reply).toMatchObject({ ok: false, error: { code: "bad-arguments", message: expect.stringContaining("lab.up") } });
    expect(seen).toEqual([]);
  });

  it("does not let a handler answer something that is not its value", async () => {
    const wrong = backend({ "lab.up": () => ({ tsk: 1 }) as never });
    expect(await dispatch(wrong, { id: 1, call: "lab.up", args: { lab: "x" } }, window)).toMatchObject({ ok: false, error: { code: "bad-value" } });
  });

  it.each([null, 1, "x", {}, { id: "1", call: "lab.list" }, { id: -1, call: "lab.list", args: {} }, { id: 1, call: {} }])("answers nothing to %j, which is no request", async (frame) => {
    expect(await dispatch(backend({}), frame, window)).toBeNull();
  });

  it("passes code, remedy and host on, and never a stack", async () => {
    const reply = await dispatch(failing(new AppError("busy", "a run is on", { remedy: "stop it", host: "nyc" })), { id: 3, call: "lab.list", args: {} }, window);
    expect(reply).toEqual({ id: 3, ok: false, error: { code: "busy", message: "a run is on", remedy: "stop it", host: "nyc" } });
    for (const thrown of [new Error("boom"), "boom", { toString: () => "boom" }]) {
      expect(await dispatch(failing(thrown), { id: 1, call: "lab.list", args: {} }, window)).toEqual({ id: 1, ok: false, error: { code: "internal", message: "boom", remedy: null, host: null } });
    }
  });

  it("checks events as they leave", () => {
    expect(() => pushFrame("events.lost", { count: -1 })).toThrow(AppError);
    expect(pushFrame("events.lost", { count: 2 })).toEqual({ event: "events.lost", payload: { count: 2 } });
  });
});

describe("the window's end", () => {
  const client = () => {
    const sent: unknown[] = [];
    const defects: string[] = [];
    return { sent, defects, api: new AppClient({ send: (request) => void sent.push(request) }, (what) => void defects.push(what)) };
  };

  it("does not even send arguments that do not fit", async () => {
    const { api, sent } = client();
    await expect(api.call("lab.up", { lab: "" })).rejects.toMatchObject({ code: "bad-arguments" });
    expect(sent).toEqual([]);
  });

  it("refuses a value that does not fit its call", async () => {
    const { api } = client();
    const answer = api.call("lab.up", { lab: "x" });
    api.receive({ id: 1, ok: true, value: { task: 5 } });
    await expect(answer).rejects.toMatchObject({ code: "bad-value" });
  });

  it("drops and reports unknown events, wrong payloads, stray replies and noise", () => {
    const { api, defects } = client();
    const seen: unknown[] = [];
    api.on("events.lost", (payload) => seen.push(payload));
    for (const frame of [{ event: "constructor", payload: 1 }, { event: "events.lost", payload: { count: "1" } }, { id: 99, ok: true, value: 1 }, "noise"]) api.receive(frame);
    expect(seen).toEqual([]);
    expect(defects).toHaveLength(4);
  });

  it("fails every call under way when the connection is lost, and delivers nothing to a listener that left", async () => {
    const { api } = client();
    const answer = api.call("lab.list", {});
    api.lost();
    await expect(answer).rejects.toMatchObject({ code: "disconnected" });
    let heard = 0;
    const off = api.on("events.lost", () => heard++);
    off();
    api.receive({ event: "events.lost", payload: { count: 1 } });
    expect(heard).toBe(0);
  });
});
