const ALPHABET = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const PADDING = "=".charCodeAt(0);
const decoder = new TextDecoder();

/** Base64 with padding. In Node 20 `btoa` takes twenty times as long for a vector, and `toBase64` of arrays is missing. */
export function toBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PADDING);
  let at = 0;
  for (let start = 0; start < bytes.length; start += 3) {
    const left = bytes.length - start;
    const group = ((bytes[start] ?? 0) << 16) | ((bytes[start + 1] ?? 0) << 8) | (bytes[start + 2] ?? 0);
    text[at++] = ALPHABET[group >> 18] as number;
    text[at++] = ALPHABET[(group >> 12) & 63] as number;
    if (left > 1) text[at++] = ALPHABET[(group >> 6) & 63] as number;
    if (left > 2) text[at++] = ALPHABET[group & 63] as number;
  }
  return decoder.decode(text);
}
