/**
 * A listening socket in a process that may open few descriptors: `scarceListener.ts PORT` says "listening", accepts until none is left, and after half a second
 * writes what it has accepted and the share of that time for which it was busy. Closes one at a word on stdin, and then writes how many it has accepted in all.
 */
import { closeSync } from "node:fs";
import { ServiceListener } from "../../src-agent/services/serviceListener.ts";
import { parseAddress } from "../../src-shared/net/address.ts";

const accepted: number[] = [];
const listener = new ServiceListener({ address: parseAddress("::1"), port: Number(process.argv[2]) }, (fd) => accepted.push(fd));
const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
process.stdin.once("data", () => {
  closeSync(accepted[0] as number);
  setTimeout(() => {
    say({ inAll: accepted.length });
    process.exit(0);
  }, 500);
});
listener.accepting = true;
say("listening");
setTimeout(() => {
  const [before, at] = [process.cpuUsage(), performance.now()];
  setTimeout(() => {
    const { user, system } = process.cpuUsage(before);
    say({ accepted: accepted.length, busy: (user + system) / 1000 / (performance.now() - at) });
  }, 500);
}, 500);
