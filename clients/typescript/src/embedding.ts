import { toBase64 } from "./base64.js";
import { InvalidRequest } from "./errors.js";
import type { Embedding } from "./types.js";

const BYTES = 4;

/** Base64 of little-endian float32, as the cache reads it. A text is taken for such base64. */
export function encodeEmbedding(embedding: Embedding): string {
  if (typeof embedding === "string") return embedding;
  const bytes = new Uint8Array(embedding.length * BYTES);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < embedding.length; index++) {
    const number = embedding[index];
    if (typeof number !== "number" || !Number.isFinite(Math.fround(number)))
      throw new InvalidRequest({
        detail: `embedding[${index}] is ${number}, which is not a finite float32`,
        remediation: "send finite numbers",
      });
    view.setFloat32(index * BYTES, number, true);
  }
  return toBase64(bytes);
}

/** The numbers of an embedding that the cache returned. */
export function decodeEmbedding(base64: string): Float32Array {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let index = 0; index < text.length; index++) view.setUint8(index, text.charCodeAt(index));
  return Float32Array.from({ length: text.length / BYTES }, (_, index) => view.getFloat32(index * BYTES, true));
}
