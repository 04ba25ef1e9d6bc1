import { CredentialsMissing, InvalidRequest } from "./errors.js";
import { signers } from "./sigv4.js";

/** What is signed. `headers` has those that every request has. */
export interface Unsigned {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** Adds credentials to requests. `bearer` and `iam` make one. */
export interface Authorizer {
  /** The headers to send. */
  headers(request: Unsigned): Promise<Record<string, string>>;
  /** Drops credentials that the gateway refused. Returns true if the next request may have others. */
  refresh(): boolean;
}

/** Makes the authorizer of a client with this URL. Throws `InvalidRequest` if it cannot. */
export type Auth = (url: URL) => Authorizer;

/** Sends a token, such as a JWT. A function is asked before each request, and may keep its token while it is valid. */
export function bearer(token: string | (() => string | PromiseLike<string>)): Auth {
  return () => ({
    async headers({ headers }) {
      const value = typeof token === "string" ? token : await provided("token", token);
      return { ...headers, authorization: `Bearer ${value}` };
    },
    refresh: () => typeof token === "function",
  });
}

/** Credentials as the AWS SDK for JavaScript has them (`AwsCredentialIdentity`). */
export interface AwsCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
  expiration?: Date | undefined;
}

export interface IamOptions {
  /**
   * Credentials, or a provider of them, for example `fromNodeProviderChain()` of `@aws-sdk/credential-providers`. A
   * provider is asked again five minutes before its credentials expire, and after a refusal. Without it the variables
   * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are read at each request.
   */
  credentials?: AwsCredentials | (() => AwsCredentials | PromiseLike<AwsCredentials>) | undefined;
  /** Without it, the region in the URL's host, else the variable AWS_REGION. */
  region?: string | undefined;
  /** Without it, `lambda` for a Function URL, and `execute-api` otherwise. */
  service?: string | undefined;
}

const RENEW_BEFORE_MS = 5 * 60_000;

/** Signs requests with AWS Signature Version 4. */
export function iam(options: IamOptions = {}): Auth {
  return (url) => {
    const { service, region } = scope(url, options);
    const { credentials } = options;
    const source =
      credentials === undefined
        ? { get: async () => fromEnvironment(), drop: () => false }
        : typeof credentials === "function"
          ? renewed(credentials)
          : { get: async () => credentials, drop: () => false };
    const signer = signers();
    // Deriving a key takes four HMACs. A derived key holds for one day and one secret.
    let keys = new Map<string, ArrayBuffer>();
    let secret = "";
    return {
      async headers(request) {
        const current = await source.get();
        if (current.secretAccessKey !== secret) {
          secret = current.secretAccessKey;
          keys = new Map();
        }
        const signed = await signer({
          ...signable(request),
          ...named(current),
          service,
          region,
          cache: keys,
        }).sign();
        return Object.fromEntries(signed.headers);
      },
      refresh: () => source.drop(),
    };
  };
}

function signable({ method, url, headers, body }: Unsigned) {
  return body === undefined ? { method, url, headers } : { method, url, headers, body };
}

function named({ accessKeyId, secretAccessKey, sessionToken }: AwsCredentials) {
  return sessionToken === undefined ? { accessKeyId, secretAccessKey } : { accessKeyId, secretAccessKey, sessionToken };
}

/** Asks a provider once for all requests that wait, and keeps what it returns until shortly before its expiration. */
function renewed(provider: () => AwsCredentials | PromiseLike<AwsCredentials>) {
  let pending: Promise<AwsCredentials> | undefined;
  let current: AwsCredentials | undefined;
  return {
    async get(): Promise<AwsCredentials> {
      if (current !== undefined && !expiresSoon(current)) return current;
      pending ??= provided("credentials", provider)
        .then((fresh) => {
          current = fresh;
          return fresh;
        })
        .finally(() => {
          pending = undefined;
        });
      return pending;
    },
    drop(): boolean {
      current = undefined;
      return true;
    },
  };
}

function expiresSoon({ expiration }: AwsCredentials): boolean {
  return expiration !== undefined && expiration.getTime() - Date.now() < RENEW_BEFORE_MS;
}

function scope(url: URL, options: IamOptions): { service: string; region: string } {
  const host = /^.+\.(execute-api|lambda-url)\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)$/.exec(url.hostname);
  const region = options.region ?? host?.[2] ?? environment("AWS_REGION");
  if (region === undefined)
    throw new InvalidRequest({
      detail: `the host ${url.hostname} does not name a region`,
      remediation: "give `region` to `iam`, or set AWS_REGION",
    });
  return { service: options.service ?? (host?.[1] === "lambda-url" ? "lambda" : "execute-api"), region };
}

function fromEnvironment(): AwsCredentials {
  const accessKeyId = environment("AWS_ACCESS_KEY_ID");
  const secretAccessKey = environment("AWS_SECRET_ACCESS_KEY");
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new CredentialsMissing({
      detail: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
      remediation: "set them, or give `credentials` to `iam`",
    });
  return { accessKeyId, secretAccessKey, sessionToken: environment("AWS_SESSION_TOKEN") };
}

/** An edge runtime may have no `process`. */
function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

async function provided<T>(what: string, provider: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await provider();
  } catch (cause) {
    throw new CredentialsMissing({
      detail: `the provider of the ${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      remediation: "look at `cause`: it is the provider's error",
      cause,
    });
  }
}
