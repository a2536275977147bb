import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { createPrivateKey } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { afterEach, beforeAll, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import type { MemberMessage } from "../../src-shared/protocol/core/group/memberMessage.ts";
import { MemberLinks, type MemberLinkOptions } from "./links.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const loopback = parseAddress("::1");
const open: MemberLinks[] = [];
interface Identity {
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
}
let issue: (group: string, member: string) => Promise<Identity>;
let strangers: typeof issue;

async function authority(): Promise<typeof issue> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({ name: "CN=test", keys, signingAlgorithm: algorithm, extensions: [new x509.BasicConstraintsExtension(true, 0, true)] });
  return async (group, member) => {
    const own = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${member}`,
      issuer: ca.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "url", value: `urn:anycast-lab:group:${group}:member:${member}` }])],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey));
    const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" }) as string;
    return { authority: ca.toString("pem"), certificate: certificate.toString("pem"), privateKey };
  };
}

beforeAll(async () => {
  x509.cryptoProvider.set(globalThis.crypto);
  issue = await authority();
  strangers = await authority();
});
afterEach(() => {
  for (const links of open.splice(0)) links.close();
});

/** Two ends on loopback; resolves with what happened until `a` was up, or after half a second. */
async function pair(a: Identity, b: Identity): Promise<{ a: MemberLinks; b: MemberLinks; up: string[]; received: [string, MemberMessage][] }> {
  const up: string[] = [];
  const received: [string, MemberMessage][] = [];
  const port = 20_000 + (process.pid % 10_000);
  const members = [
    { name: "a", address: loopback, port },
    { name: "b", address: loopback, port: port + 1 },
  ];
  const start = async (name: string, identity: Identity): Promise<MemberLinks> => {
    const options: MemberLinkOptions = {
      group: "g",
      self: members.find((m) => m.name === name) as (typeof members)[number],
      members,
      ...identity,
      onMessage: (from, message) => received.push([from, message]),
      onUp: (member) => up.push(`${name}->${member}`),
      onDown: () => {},
    };
    const links = new MemberLinks(options);
    open.push(links);
    await links.listen();
    return links;
  };
  const linksB = await start("b", b);
  const linksA = await start("a", a);
  const until = performance.now() + 800;
  while (up.length < 2 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
  return { a: linksA, b: linksB, up, received };
}

it("carries messages both ways between members of one group", async () => {
  const { a, b, up, received } = await pair(await issue("g", "a"), await issue("g", "b"));
  expect(up.toSorted()).toEqual(["a->b", "b->a"]);
  const message: MemberMessage = { kind: "activity", client: parseAddress("2001:db8::1"), active: true };
  expect(a.send("b", message)).toBe(true);
  expect(b.send("a", message)).toBe(true);
  expect(a.send("nobody", message)).toBe(false);
  while (received.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(received.toSorted()).toEqual([
    ["a", message],
    ["b", message],
  ]);
});

it.each([
  ["another authority", async () => strangers("g", "a")],
  ["another group", async () => issue("other", "a")],
  ["another member's name", async () => issue("g", "c")],
])("refuses a certificate of %s", async (_, impostor) => {
  const identity = { ...(await impostor()), authority: (await issue("g", "b")).authority };
  const { up, b } = await pair(identity, await issue("g", "b"));
  expect(up.filter((u) => u.startsWith("b"))).toEqual([]);
  expect(b.isUp("a")).toBe(false);
});
