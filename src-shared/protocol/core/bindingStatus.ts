/** Status of a Binding Acknowledgement, RFC 6275 §6.1.8 and RFC 4285 §6, §7. */
export const bindingStatus = {
  accepted: 0,
  prefixDiscoveryNecessary: 1,
  reasonUnspecified: 128,
  administrativelyProhibited: 129,
  insufficientResources: 130,
  homeRegistrationNotSupported: 131,
  notHomeSubnet: 132,
  notHomeAgent: 133,
  duplicateAddress: 134,
  sequenceOutOfWindow: 135,
  expiredHomeNonce: 136,
  expiredCareOfNonce: 137,
  expiredNonces: 138,
  registrationTypeChange: 139,
  messageIdMismatch: 144,
  messageIdRequired: 145,
  authenticationFailed: 146,
  invalidCareOfAddress: 174,
} as const;

export type BindingStatus = (typeof bindingStatus)[keyof typeof bindingStatus];

/** Statuses from 128 on say no. */
export function refusesBinding(status: number): boolean {
  return status >= 128;
}

const names = new Map<number, string>(Object.entries(bindingStatus).map(([name, status]) => [status, name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`)]));

/** A status in words with its number, such as "sequence out of window (135)". */
export function describeStatus(status: number): string {
  return `${names.get(status) ?? "unknown status"} (${status})`;
}
