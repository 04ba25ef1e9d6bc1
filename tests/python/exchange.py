"""Tests that the functions and the Python library read and replace each other's entries in one embedded DynamoDB.

Usage: python exchange.py API_URL DYNAMODB_URL

`mneme-local serve` must run with MNEME_GSI_PROJECTION=ALL, MNEME_EMBEDDER_FINGERPRINT=exchange-v1 and
MNEME_EMBEDDER_DIM=16 over an empty table `mneme`. Prints one line per check, then a summary. Exits 1 if a check fails.
"""

import hashlib
import json
import random
import sys
import unicodedata
import urllib.request

import boto3
import numpy as np
from mneme import SemanticCache
from mneme._normalize import hash_query, normalize
from mneme._store_dynamodb import DynamoDBStore

API, DYNAMODB = sys.argv[1:3]
TABLE = "mneme"
DIM = 16
passed = failed = 0


class Embedder:
    """Returns a pseudo-random unit vector per text. A text with `~` in front has nearly the vector of the text
    without."""

    dim = DIM
    fingerprint = "exchange-v1"

    def embed(self, text):
        text, nudge = (text[1:], 0.02) if text.startswith("~") else (text, 0.0)
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
        vector /= np.linalg.norm(vector)
        vector[0] += nudge
        return vector


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def lookup(query, namespace="default"):
    vector = Embedder().embed(normalize(query)).tolist()
    return call("POST", "/v1/lookup", {"query": query, "namespace": namespace, "embedding": vector})[1]


def put(query, response, namespace="default", **fields):
    vector = Embedder().embed(normalize(query)).tolist()
    body = {"query": query, "response": response, "namespace": namespace, "embedding": vector, **fields}
    return call("POST", "/v1/entries", body)


def check(what, holds):
    global passed, failed
    print(("ok    " if holds else "FAIL  ") + what, flush=True)
    passed, failed = passed + bool(holds), failed + (not holds)


def open_cache():
    store = DynamoDBStore(TABLE, region_name="us-east-1", endpoint_url=DYNAMODB, create_table=True)
    return SemanticCache(store=store, embedder=Embedder())


def read_python_entries():
    with open_cache() as cache:
        for number in range(20):
            cache.put(f"Python question {number}?", f"python answer {number}", metadata={"number": number})
        cache.put("Straße", "tenant's answer", namespace="tenant")
        cache.put("mortal", "late", ttl=3600)
    hits = [lookup(f" PYTHON  question {number}?") for number in range(20)]
    check("lookup finds Python's entries exactly", all(
        hit["outcome"] == "hit" and hit["layer"] == "exact" and hit["response"] == f"python answer {number}"
        and hit["metadata"] == {"number": number} for number, hit in enumerate(hits)))
    hits = [lookup(f"~python question {number}?") for number in range(20)]
    check("lookup finds Python's entries semantically", all(
        hit["outcome"] == "hit" and hit["layer"] == "semantic" and hit["response"] == f"python answer {number}"
        for number, hit in enumerate(hits)))
    check("both sides use full case folding", lookup("STRASSE", "tenant")["response"] == "tenant's answer")
    check("lookup ignores other namespaces", lookup("STRASSE")["outcome"] == "miss")
    entry = call("GET", f"/v1/namespaces/default/entries/{hash_query('mortal')}")[1]
    check("a duration in ttl is read as a duration", entry["expires_at"] == entry["created_at"] + 3600)


def exchange_writes():
    replies = [put(f"Rust question {number}?", f"rust answer {number}", metadata={"n": number}) for number in range(20)]
    check("new ids continue Python's ids", [reply[1]["id"] for reply in replies] == list(range(23, 43)))
    call("POST", "/v1/entries", {"query": "no vector", "response": "exact only"})
    check("put replaces Python's entry", put("python question 0?", "replaced")[1]["created"] is False)
    with open_cache() as cache:
        hits = [cache.get(f"RUST question {number}?") for number in range(20)]
        check("Python finds the functions' entries exactly", all(
            hit is not None and hit.layer == "exact" and hit.response == f"rust answer {number}"
            and hit.metadata == {"n": number} for number, hit in enumerate(hits)))
        hits = [cache.get(f"~rust question {number}?") for number in range(20)]
        check("Python finds the functions' entries semantically", all(
            hit is not None and hit.layer == "semantic" and hit.response == f"rust answer {number}"
            for number, hit in enumerate(hits)))
        check("Python reads the replaced entry", cache.get("python question 0?").response == "replaced")
        check("Python reads an entry without a vector", cache.get("no vector").response == "exact only")
        check("Python counts only entries", cache.stats().entries == 43)
        check("Python lists the namespaces", cache.list_namespaces() == ["default", "tenant"])
        cache.put("python question 1?", "python again")
        check("Python deletes an entry of the functions", cache.delete("rust question 3?"))
    check("lookup finds Python's replacement", lookup("python question 1?")["response"] == "python again")
    check("lookup misses the entry that Python deleted", lookup("rust question 3?")["outcome"] == "miss")
    check("semantic lookup misses the entry that Python deleted", lookup("~rust question 3?")["outcome"] == "miss")
    check("a deleted query can be put again", put("rust question 3?", "new")[1]["created"] is True)
    version = call("GET", "/v1/stats")[1]["version_counter"]
    status, swept = call("POST", "/v1/vacuum")
    check("vacuum finds nothing to remove", status == 200 and swept["expired"] == 0 and swept["duplicates"] == 0)
    check("vacuum repairs without a mutation", call("GET", "/v1/stats")[1]["version_counter"] == version)
    with open_cache() as cache:
        check("Python opens the table afterwards", cache.get("~rust question 3?").response == "new")


def compare_hashes():
    """Compares the query hashes of about 1,000 random strings of many scripts with Python's."""
    chance = random.Random(7)
    ranges = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x530), (0x10A0, 0x1100), (0x1E00, 0x2070), (0xA640, 0xA7C0), (0xFB00, 0xFB20)]
    texts = ["".join(chr(chance.randrange(*chance.choice(ranges))) for _ in range(chance.randint(1, 30))) for _ in range(1000)]
    # A put refuses a blank question: one of spaces, control characters and format characters alone.
    blank = {"Zs", "Zl", "Zp", "Cc", "Cf"}
    texts = [text for text in texts if not all(unicodedata.category(character) in blank for character in text)]
    entries = [{"query": text, "response": "an answer", "namespace": "hashes"} for text in texts]
    for start in range(0, len(entries), 250):
        status, reply = call("POST", "/v1/entries", {"entries": entries[start : start + 250]})
        assert status == 200 and all("id" in result for result in reply["results"]), reply
    store = boto3.resource("dynamodb", region_name="us-east-1", endpoint_url=DYNAMODB).Table(TABLE)
    rows, page = [], store.scan()
    while True:
        rows += [row for row in page["Items"] if row.get("namespace") == "hashes"]
        if "LastEvaluatedKey" not in page:
            break
        page = store.scan(ExclusiveStartKey=page["LastEvaluatedKey"])
    check(f"hashes agree on {len(texts)} strings",
          {row["query_hash"] for row in rows} == {hash_query(normalize(text)) for text in texts})


read_python_entries()
exchange_writes()
compare_hashes()
print(f"exchange: {passed} passed, {failed} failed")
sys.exit(failed > 0)
