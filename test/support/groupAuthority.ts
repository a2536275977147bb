import "reflect-metadata";
import { createPrivateKey, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
export interface Identity {
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
}
/** A certificate of one authority for a member of a group, as the manager issues them. */
export type Issue = (group: string, member: string) => Promise<Identity>;

/** A new authority. */
export async function groupAuthority(): Promise<Issue> {
  x509.cryptoProvider.set(globalThis.crypto);
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
