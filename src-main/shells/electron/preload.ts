import { contextBridge, ipcRenderer } from "electron";
import { channels } from "./origin.ts";

ipcRenderer.send(channels.begin);

/** All that the page gets of Electron: frames out, frames in. The channels' names stay here, so the page can reach no other. */
contextBridge.exposeInMainWorld("anycastLab", {
  send: (request: unknown): void => ipcRenderer.send(channels.toManager, request),
  receive: (listener: (frame: unknown) => void): void => {
    ipcRenderer.on(channels.toWindow, (_event, frame: unknown) => listener(frame));
  },
});
