"""Writes `tests/fixtures/` with the Python library: normalised strings and the rows of a table.

Usage: python make_fixtures.py DYNAMODB_URL
"""

import base64
import json
import math
import random
import sys
import unicodedata
from pathlib import Path

import boto3
import numpy as np
from mneme import SemanticCache
from mneme._normalize import hash_query, normalize
from mneme._store_dynamodb import DynamoDBStore

FIXTURES = Path(__file__).parent.parent / "fixtures"
SPACES = [chr(c) for c in range(0x3001) if chr(c).isspace()] + ["\u200b", "\u2060", "\ufeff"]


class Embedder:
    """Returns vectors at the angles in `angles`."""

    dim = 8
    fingerprint = "fixture-embedder-v1"
    angles = {"straße und weg": 0.0, "second question": 0.0, "expired question": 3.0}

    def embed(self, text):
        angle = self.angles.get(text, 0.0) if text != "strasse und weg" else 0.0
        vector = np.zeros(self.dim, dtype=np.float32)
        vector[0], vector[1] = math.cos(angle), math.sin(angle)
        return vector


def strings():
    """Yields every character that case folding changes, every kind of white space, then random mixtures of scripts."""
    chance = random.Random(20261122)
    assigned = [chr(c) for c in range(1, 0x1FBFA) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    folding = [c for c in assigned if c.casefold() != c]
    for start in range(0, len(folding), 8):
        yield "".join(folding[start : start + 8])
    for space in SPACES:
        yield f"{space}A{space}{space} b{space}"
    words = ["Straße", "İstanbul", "ΣΊΣΥΦΟΣ", "ﬁle", "ŉ", "Ǆ", "ꭰ", "Ꭰ", "ẞ", "日本語", "नमस्ते", "שלום", "👩‍👧", "e\u0301", "É"]
    while True:
        kinds = [
            lambda: chance.choice(words),
            lambda: chance.choice(SPACES),
            lambda: "".join(chance.choices(assigned, k=chance.randint(1, 6))),
            lambda: chance.choice(folding),
            lambda: "".join(chance.choices("abcXYZ019?!.,-_ ", k=chance.randint(1, 12))),
        ]
        yield "".join(chance.choice(kinds)() for _ in range(chance.randint(0, 9)))


def write_normalization():
    with open(FIXTURES / "normalization.jsonl", "w", encoding="utf-8") as file:
        for _, text in zip(range(2000), strings()):
            normalized = normalize(text)
            case = {"text": text, "normalized": normalized, "hash": hash_query(normalized)}
            file.write(json.dumps(case) + "\n")


def write_table(url):
    """Writes a table as the library stores it. Only the times of entries with a ttl are changed, so that they have
    expired."""
    credentials = dict(region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
    client = boto3.client("dynamodb", endpoint_url=url, **credentials)
    store = DynamoDBStore("fixture", region_name="us-east-1", endpoint_url=url, create_table=True)
    with SemanticCache(store=store, embedder=Embedder()) as cache:
        cache.put("Straße und  Weg", "Antwort")
        cache.put("second question", "second answer", namespace="tenant/1", metadata={"model": "m", "n": 1.5})
        cache.put("expired question", "late", ttl=60)
        store.set_namespace_quota("tenant/1", 50)
        store.write_meta("schema", "x")
    items = sorted(client.scan(TableName="fixture")["Items"], key=lambda item: int(item["id"]["N"]))
    with open(FIXTURES / "python_table.jsonl", "w", encoding="utf-8") as file:
        for item in items:
            if "ttl" in item:
                item["created_at"] = item["last_accessed_at"] = {"N": "1700000000"}
            if "embedding" in item:
                item["embedding"] = {"B": base64.b64encode(item["embedding"]["B"]).decode()}
            file.write(json.dumps(item, sort_keys=True) + "\n")


if __name__ == "__main__":
    FIXTURES.mkdir(exist_ok=True)
    write_normalization()
    write_table(sys.argv[1])
