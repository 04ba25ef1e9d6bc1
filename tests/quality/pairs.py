"""Question pairs, their split, and the guard's verdicts on them."""

import hashlib
import json
import subprocess
from dataclasses import dataclass

import numpy as np
from minilm import embed_all


@dataclass
class Scored:
    """The guard's features and verdicts for n pairs."""

    similarity: np.ndarray  # [n]
    features: np.ndarray  # [n, features]
    veto: list  # the kind of veto, or None
    probability: np.ndarray  # [n], 0 where vetoed

    @property
    def is_vetoed(self):
        return np.array([kind is not None for kind in self.veto])


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def clusters(pairs):
    """A cluster number for each pair. Pairs that share a question, directly or through other pairs, share a cluster."""
    parent = {}

    def root(text):
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    keys = [(pair["a"].strip().lower(), pair["b"].strip().lower()) for pair in pairs]
    for a, b in keys:
        parent[root(a)] = root(b)
    numbers = {}
    return np.array([numbers.setdefault(root(a), len(numbers)) for a, _ in keys])


def is_kept_apart(pairs, cluster):
    """A mask of the pairs in the fifth of the clusters that is used for evaluation. The hash of a cluster's
    alphabetically first question decides."""
    first = {}
    for pair, number in zip(pairs, cluster):
        text = min(pair["a"].strip().lower(), pair["b"].strip().lower())
        first[number] = min(first.get(number, text), text)
    apart = {number: hashlib.sha256(text.encode()).digest()[0] % 5 == 0 for number, text in first.items()}
    return np.array([apart[number] for number in cluster])


def text_of(side):
    """The text of a side that is embedded: the side itself, or its last message."""
    return side if isinstance(side, str) else side[-1]["content"]


def scored(pairs, program):
    """Returns the names of the features and a `Scored`. `program` is the built `examples/features` of mneme-guard."""
    vectors = embed_all([text_of(pair[side]) for pair in pairs for side in "ab"])
    similarity = np.array([float(vectors[text_of(pair["a"])] @ vectors[text_of(pair["b"])]) for pair in pairs])
    lines = [
        json.dumps({"a": pair["a"], "b": pair["b"], "similarity": value}) for pair, value in zip(pairs, similarity)
    ]
    names = json.loads(subprocess.check_output([program, "--names"]))
    answers = subprocess.run([program], input="\n".join(lines), capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in answers.stdout.splitlines()]
    return names, Scored(
        similarity=similarity,
        features=np.array([row["features"] for row in rows]),
        veto=[row["veto"] for row in rows],
        probability=np.array([row["probability"] or 0.0 for row in rows]),
    )
