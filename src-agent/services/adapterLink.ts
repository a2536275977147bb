import { adapterMessage, adapterProtocolVersion, maximumAdapterBlob, maximumAppState, type AdapterMessage, type AgentMessageOut } from "../../src-shared/api/adapter.ts";
import { libc } from "../linux/libc.ts";
import { PacketChannel, type ChannelMessage } from "../linux/packetChannel.ts";

export type Registration = Extract<AdapterMessage, { type: "register" }>;
type AfterRegistration = Exclude<AdapterMessage, Registration>;

/** Whoever is at the other end has this long to say who it is, in ms. */
const registerWithinMs = 5000;

/** `start` is called once the process knows that it is registered. */
export interface Accepted {
  readonly home: string;
  readonly start: () => void;
}

/** What happens on a link; `register` accepts or says why not. */
export interface LinkEvents {
  register(link: AdapterLink, registration: Registration): Accepted | { readonly code: string; readonly message: string };
  message(link: AdapterLink, message: AfterRegistration, blob: Buffer): void;
  closed(link: AdapterLink, reason: string): void;
}

/** One service process's connection to the agent. Past it every message fits its schema. */
export class AdapterLink {
  readonly #channel: PacketChannel;
  readonly #events: LinkEvents;
  readonly #deadline: NodeJS.Timeout;
  #registered = false;

  constructor(fd: number, events: LinkEvents) {
    this.#events = events;
    this.#channel = new PacketChannel(fd, { maximumBlob: maximumAdapterBlob });
    this.#channel.onMessage((message) => this.#receive(message));
    this.#channel.onClose((reason) => this.#end(reason));
    this.#deadline = setTimeout(() => this.close("no register message"), registerWithinMs);
    this.#deadline.unref();
  }

  send(message: AgentMessageOut, blob?: Uint8Array, descriptor?: number): void {
    this.#channel.send(message, blob, descriptor === undefined ? [] : [descriptor]);
  }

  /** Ends the link and tells `closed`. */
  close(reason: string): void {
    if (this.#channel.closed) return;
    this.#channel.close();
    this.#end(reason);
  }

  #end(reason: string): void {
    clearTimeout(this.#deadline);
    this.#events.closed(this, reason);
  }

  #receive({ json, blob, descriptors }: ChannelMessage): void {
    for (const d of descriptors) libc.close(d);
    const parsed = adapterMessage.safeParse(json);
    if (!parsed.success) return this.close(`a message that does not fit its schema: ${parsed.error.issues[0]?.path.join(".") ?? ""} ${parsed.error.issues[0]?.message ?? ""}`);
    if (descriptors.length > 0) return this.close("descriptors, which only the agent sends");
    const message = parsed.data;
    if (blob.length > (message.type === "released" ? maximumAppState : 0)) return this.close(`${blob.length} bytes with "${message.type}"`);
    if (message.type === "register") return this.#register(message);
    if (!this.#registered) return this.close(`"${message.type}" before "register"`);
    this.#events.message(this, message, blob);
  }

  #register(message: Registration): void {
    if (this.#registered) return this.close("a second register message");
    const answer = message.protocol === adapterProtocolVersion ? this.#events.register(this, message) : { code: "protocol", message: `this agent speaks protocol ${adapterProtocolVersion}, not ${message.protocol}` };
    clearTimeout(this.#deadline);
    if ("home" in answer) {
      this.#registered = true;
      this.send({ type: "registered", home: answer.home });
      answer.start();
    } else {
      this.send({ type: "refused", ...answer });
      this.close(answer.message);
    }
  }
}
