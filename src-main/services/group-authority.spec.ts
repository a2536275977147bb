import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { memberOf } from "../../src-agent/members/links.ts";
import { GroupAuthority } from "./group-authority.ts";

it("certifies a member's key for one group, for a day, for both ends of a link", async () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = publicKey.export({ type: "spki", format: "pem" }) as string;
  const authority = await GroupAuthority.create("film");
  const ca = new X509Certificate(authority.pem);
  const certificate = new X509Certificate(await authority.certify("k", pem));

  expect(certificate.verify(ca.publicKey)).toBe(true);
  expect(certificate.checkIssued(ca)).toBe(true);
  expect(certificate.publicKey.export({ type: "spki", format: "pem" })).toBe(pem);
  expect(certificate.ca).toBe(false);
  expect(ca.ca).toBe(true);
  expect(memberOf(certificate.subjectAltName, "film")).toBe("k");
  expect(memberOf(certificate.subjectAltName, "other")).toBeNull();
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now() - 300_000);
  expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThan(25 * 3600_000);
});

it("is another authority each time", async () => {
  const [a, b] = await Promise.all([GroupAuthority.create("film"), GroupAuthority.create("film")]);
  expect(new X509Certificate(a.pem).verify(new X509Certificate(b.pem).publicKey)).toBe(false);
});
