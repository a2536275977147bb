/** Texts that a host could send to break out of where they are shown. Each sets window.__pwned, or spoofs, if it works. */
export const hostileTexts = [
  `<img src=x onerror="window.__pwned=1">`,
  `"><svg onload=window.__pwned=1>`,
  `<script>window.__pwned=1</script>`,
  `javascript:window.__pwned=1//`,
  `{{constructor.constructor('window.__pwned=1')()}}`,
  `</title><iframe srcdoc="<script>parent.__pwned=1</script>">`,
  `\u202Egnp.exe\u202C \u2066left\u2069`,
  `\u001b]0;window title\u0007\u001b[31mred\u001b[2J`,
  `__proto__`,
  `constructor`,
  `nul\u0000byte\r\nSet-Cookie: a=b`,
  `🏴‍☠️ ${"very".repeat(30)} long`,
] as const;

export function hostileText(index: number): string {
  return hostileTexts[index % hostileTexts.length] as string;
}
