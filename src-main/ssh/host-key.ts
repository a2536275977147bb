import { createHash } from "node:crypto";

/** A public host key as it travels: its type is the first length-prefixed string of the blob (RFC 4253 §6.6). */
export interface HostKey {
  readonly type: string;
  readonly blob: Buffer;
}

/** Reads a host key blob; throws RangeError when it does not start with a key type. */
export function hostKeyFromBlob(blob: Buffer): HostKey {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0;
  const type = blob.toString("latin1", 4, 4 + length);
  if (length === 0 || 4 + length > blob.length || !/^[a-z0-9@.-]+$/.test(type)) throw new RangeError("not an SSH public key blob");
  return { type, blob };
}

/** The fingerprint as OpenSSH prints it: `SHA256:` and the unpadded base64 digest of the blob. */
export function fingerprint(key: HostKey): string {
  return `SHA256:${createHash("sha256").update(key.blob).digest("base64").replace(/=+$/, "")}`;
}

/** Fingerprint with the short name of the type, such as `ED25519 SHA256:…`, for people to compare. */
export function describeHostKey(key: HostKey): string {
  const names: Record<string, string> = { "ssh-ed25519": "ED25519", "ssh-rsa": "RSA", "ssh-dss": "DSA" };
  return `${names[key.type] ?? (key.type.startsWith("ecdsa-") ? "ECDSA" : key.type)} ${fingerprint(key)}`;
}
