import { EventEmitter } from "node:events";
import type { IpcMain, WebContents } from "electron";
import { describe, expect, it } from "vitest";
import { channels, startPage } from "./origin.ts";
import { WindowFrames } from "./window-frames.ts";

class Contents extends EventEmitter {
  readonly id: number;
  readonly sent: unknown[] = [];
  gone = false;
  constructor(id: number) {
    super();
    this.id = id;
  }
  isDestroyed = () => this.gone;
  send = (_channel: string, frame: unknown) => void this.sent.push(frame);
}

function world() {
  const ipc = new EventEmitter();
  const calls: unknown[] = [];
  const defects: string[] = [];
  const manager = { open: (window: number) => void calls.push(["open", window]), close: (window: number) => void calls.push(["close", window]), frame: (window: number, frame: unknown) => void calls.push([window, frame]) };
  const frames = new WindowFrames(ipc as unknown as IpcMain, manager, (what) => void defects.push(what));
  const contents = new Contents(7);
  frames.add(contents as unknown as WebContents);
  const from = (channel: string, frame?: unknown, sender: object = contents, senderFrame: unknown = { url: startPage, parent: null }) => ipc.emit(channel, { sender, senderFrame }, frame);
  return { frames, contents, calls, defects, from };
}

describe("frames of Electron windows", () => {
  it("pass from a page that began to the manager and back", () => {
    const { frames, contents, calls, from } = world();
    from(channels.begin);
    from(channels.toManager, "hello");
    frames.deliver(1, "there");
    expect(calls).toEqual([["open", 1], [1, "hello"]]);
    expect(contents.sent).toEqual(["there"]);
  });

  it.each([
    ["another page", { url: "https://evil.example/", parent: null }],
    ["an address that only starts like ours", { url: "app://lab.evil/", parent: null }],
    ["a frame within our page", { url: startPage, parent: {} }],
    ["a frame that is gone", null],
  ])("do not count from %s", (_, senderFrame) => {
    const { calls, defects, contents, from } = world();
    from(channels.begin, undefined, contents, senderFrame);
    from(channels.begin);
    from(channels.toManager, "x", contents, senderFrame);
    expect(calls).toEqual([["open", 1]]);
    expect(defects).toHaveLength(2);
  });

  it("do not count from contents that are no window of ours, nor before a page began", () => {
    const { calls, from } = world();
    from(channels.toManager, "early");
    from(channels.begin, undefined, new Contents(8));
    expect(calls).toEqual([]);
  });

  it("belong to one page: a reload begins anew, and the end is told", () => {
    const { frames, contents, calls, from } = world();
    from(channels.begin);
    from(channels.begin);
    frames.deliver(1, "late");
    frames.deliver(2, "now");
    contents.gone = true;
    contents.emit("destroyed");
    frames.deliver(2, "too late");
    expect(calls).toEqual([["open", 1], ["close", 1], ["open", 2], ["close", 2]]);
    expect(contents.sent).toEqual(["now"]);
  });
});
