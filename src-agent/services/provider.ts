import { join } from "node:path";
import type { ServiceConfig } from "../../src-shared/api/control.ts";
import type { Address } from "../../src-shared/net/address.ts";
import type { Clock, RunningServices, ServiceProvider } from "../ports.ts";
import type { Log } from "./adapterProcess.ts";
import { DatagramService } from "./datagramService.ts";
import { ServiceHost } from "./serviceHost.ts";

export interface ProviderOptions {
  /** Where the socket for service processes goes. */
  readonly directory: string;
  /** The program that serves: src-adapter/main.ts, or its bundle. */
  readonly adapter: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts the built-in services of a group, each a process of its own without capabilities (docs/adapter.md). */
export class AdapterServices implements ServiceProvider {
  readonly #options: ProviderOptions;
  #hosts = 0;

  constructor(options: ProviderOptions) {
    this.#options = options;
  }

  async start(home: Address, services: readonly ServiceConfig[], drop: (reason: string) => void): Promise<RunningServices> {
    const { directory, clock, log } = this.#options;
    const socketPath = join(directory, `services-${++this.#hosts}.sock`);
    const host = new ServiceHost({ socketPath, clock, log, drop });
    const datagrams: DatagramService[] = [];
    const close = async (): Promise<void> => {
      await Promise.all([host.close(), ...datagrams.map((service) => service.close())]);
    };
    try {
      for (const service of services) {
        if (service.kind === "udp-echo") datagrams.push(new DatagramService({ address: home, port: service.port }, service.name, [process.execPath, this.#options.adapter, "udp-echo"], log));
        else await host.offer(home, { name: service.name, port: service.port, command: this.#command(service, home, socketPath) });
      }
    } catch (error) {
      await close();
      throw error;
    }
    return { connections: host, close };
  }

  #command(service: Exclude<ServiceConfig, { kind: "udp-echo" }>, home: Address, socketPath: string): string[] {
    const program = service.kind === "upload" ? "files" : service.kind;
    const common = [process.execPath, this.#options.adapter, program, "--socket", socketPath, "--home", home, "--port", String(service.port), "--name", service.name];
    switch (service.kind) {
      case "echo":
        return common;
      case "http":
        return [...common, "--origin", service.origin];
      case "upload":
        return [...common, "--dir", service.directory];
    }
  }
}
