import { EntryTooLarge, GatewayError, type MnemeError } from "./errors.js";

/**
 * A Lambda event has at most 6 MB, and holds the body as a JSON text, in which quotes take two bytes. The rest is for
 * headers and the caller's claims.
 */
const MAX_EVENT_BYTES = 5_000_000;

const encoder = new TextEncoder();

/** An item of a batch in JSON, with its place in the caller's list. */
export interface Item {
  index: number;
  json: string;
}

/** Splits items, in order, so that each part has at most `maxItems` and fits a request. An item too large is alone. */
export function split(items: readonly Item[], maxItems: number): Item[][] {
  const parts: Item[][] = [];
  let part: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = encoder.encode(JSON.stringify(item.json)).length;
    if (part.length > 0 && (part.length === maxItems || bytes + size > MAX_EVENT_BYTES)) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/** The body of a batch, from items that are JSON already, and the fields that they share. */
export function batchBody(field: string, items: readonly Item[], shared: Record<string, unknown>): string {
  const rest = JSON.stringify(shared);
  return `{"${field}":[${items.map(({ json }) => json).join(",")}]${rest === "{}" ? "" : `,${rest.slice(1, -1)}`}}`;
}

/** Whether a request failed because of its size. */
export function isTooLarge(error: MnemeError): boolean {
  return error instanceof EntryTooLarge || (error instanceof GatewayError && error.status === 413);
}
