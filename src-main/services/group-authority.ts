import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const validForMs = 24 * 3600_000;
/** Hosts' clocks may be this far behind ours. */
const backdatedMs = 10 * 60_000;

x509.cryptoProvider.set(globalThis.crypto);

/**
 * Certifies the members of one group to each other. Each agent makes its own key and sends the public half over SSH; the authority's key exists in this
 * process only and dies with it, so that a certificate cannot be made anywhere else.
 */
export class GroupAuthority {
  readonly group: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;

  private constructor(group: string, keys: webcrypto.CryptoKeyPair, certificate: x509.X509Certificate) {
    this.group = group;
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async create(group: string): Promise<GroupAuthority> {
    const keys = await webcrypto.subtle.generateKey(algorithm, false, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name: `CN=Anycast Lab group ${group}`,
      ...validity(),
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)],
    });
    return new GroupAuthority(group, keys, certificate);
  }

  /** PEM; what members trust. */
  get pem(): string {
    return this.#certificate.toString("pem");
  }

  /** A certificate (PEM) for a member's public key (SPKI, PEM), valid for a day, as TLS client and server. */
  async certify(member: string, publicKeyPem: string): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: `CN=${member}`,
      issuer: this.#certificate.subject,
      ...validity(),
      publicKey: new x509.PublicKey(x509.PemConverter.decodeFirst(publicKeyPem)),
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]),
        new x509.SubjectAlternativeNameExtension([{ type: "url", value: `urn:anycast-lab:group:${this.group}:member:${member}` }]),
      ],
    });
    return certificate.toString("pem");
  }
}

function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] as number) & 0x7f; // positive, RFC 5280 §4.1.2.2
  return bytes.toString("hex");
}

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - backdatedMs), notAfter: new Date(now + validForMs) };
}
