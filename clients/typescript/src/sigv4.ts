import { AwsV4Signer } from "aws4fetch";

/** What signing needs of `node:crypto`. */
interface NodeCrypto {
  createHash(name: "sha256"): Digest;
  createHmac(name: "sha256", key: string | ArrayBuffer): Digest;
}

interface Digest {
  update(text: string): Digest;
  digest(): Uint8Array;
  digest(encoding: "hex"): string;
}

type Request = ConstructorParameters<typeof AwsV4Signer>[0];

/**
 * Returns what makes signers for Signature Version 4. With Node's module for hashes they compute each hash at once. Web
 * Crypto computes each of the four hashes of a request in another thread, so that a request waits four times.
 */
export function signers(): (request: Request) => AwsV4Signer {
  // Is no import, so that bundles for edge runtimes need no module of Node. Node has it from 20.16 on.
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => NodeCrypto | undefined } };
  const crypto = process?.getBuiltinModule?.("node:crypto");
  return (request) => (crypto === undefined ? new AwsV4Signer(request) : new NodeSigner(crypto, request));
}

class NodeSigner extends AwsV4Signer {
  readonly #crypto: NodeCrypto;

  constructor(crypto: NodeCrypto, request: Request) {
    super(request);
    this.#crypto = crypto;
  }

  override async hexBodyHash(): Promise<string> {
    return this.#hash((this.body as string | undefined) ?? "");
  }

  override async stringToSign(): Promise<string> {
    const canonical = this.#hash(await this.canonicalString());
    return ["AWS4-HMAC-SHA256", this.datetime, this.credentialString, canonical].join("\n");
  }

  override async signature(): Promise<string> {
    const text = await this.stringToSign();
    return this.#crypto.createHmac("sha256", this.#key()).update(text).digest("hex");
  }

  /** The derived key, which holds for one day and one secret. */
  #key(): ArrayBuffer {
    const name = `${this.secretAccessKey},${this.credentialString}`;
    let key = this.cache.get(name);
    if (key === undefined) {
      const hmac = (secret: string | ArrayBuffer, text: string) =>
        new Uint8Array(this.#crypto.createHmac("sha256", secret).update(text).digest()).buffer;
      const [date = "", region = "", service = "", end = ""] = this.credentialString.split("/");
      key = hmac(hmac(hmac(hmac(`AWS4${this.secretAccessKey}`, date), region), service), end);
      this.cache.set(name, key);
    }
    return key;
  }

  #hash(text: string): string {
    return this.#crypto.createHash("sha256").update(text).digest("hex");
  }
}
