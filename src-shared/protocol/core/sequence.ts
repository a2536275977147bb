/** Sequence numbers of Binding Updates: 16 bits, compared modulo 2^16 (RFC 6275 §9.5.1). */
const modulus = 0x10000;

/** Whether `candidate` is newer than `last`: 1..32767 ahead. `last` and the 32768 numbers before it are not. */
export function isNewerSequence(candidate: number, last: number): boolean {
  const ahead = (candidate - last) & 0xffff;
  return ahead > 0 && ahead < modulus / 2;
}

/** The number `steps` (0..65535) after `sequence`. */
export function sequenceAfter(sequence: number, steps = 1): number {
  return (sequence + steps) & 0xffff;
}

/** Whether `sequence` lies in first..last, which may wrap around. */
export function isWithinSequences(sequence: number, first: number, last: number): boolean {
  return ((sequence - first) & 0xffff) <= ((last - first) & 0xffff);
}
