import { InvalidRequest } from "./errors.js";

/** JSON of a value. What JSON cannot express is an `InvalidRequest`, so that it fails as other bad requests do. */
export function toJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new InvalidRequest({
      detail: `the request cannot be written as JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      remediation: "send plain values: no BigInt, no circular references",
      cause,
    });
  }
}

/**
 * A percent-encoded part of a path. `fetch` resolves `.` and `..` in any spelling, so that the request would go to
 * another route.
 */
export function pathPart(name: string, value: string | number): string {
  const text = String(value);
  if (text === "" || text === "." || text === "..")
    throw new InvalidRequest({
      detail: `${name}: ${JSON.stringify(text)} cannot be part of a URL`,
      remediation: "choose another name, or use Lambda's Invoke API for this one",
    });
  return percentEncode(name, text);
}

/**
 * Encodes all but the unreserved characters of RFC 3986, as Signature Version 4 does. `encodeURIComponent` leaves five
 * more, and then signers differ.
 */
export function percentEncode(name: string, text: string): string {
  try {
    return encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  } catch (cause) {
    throw new InvalidRequest({
      detail: `${name}: the text has half of a surrogate pair`,
      remediation: "send valid Unicode",
      cause,
    });
  }
}
