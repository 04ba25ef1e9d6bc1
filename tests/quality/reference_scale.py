"""Prints the similarities of the reference model at the quantiles that a scale is learned from, as `reference.tsv`.

Usage: reference_scale.py TEXTS.tsv > reference.tsv

TEXTS.tsv: shared/src/embedders/scale/texts.tsv. The reference model is all-MiniLM-L6-v2. It reads the English texts of the
topics that a language has, because it knows no other language well. `learn.rs` takes the same pairs and quantiles.
"""

import sys

import numpy as np
from minilm import MiniLM

LEVELS = (0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.86, 0.88, 0.9, 0.92, 0.94, 0.955, 0.97, 0.98, 0.99)
# Questions on topics that stand at most so far from each other, in the order of the file, are compared.
REACH = 3


def read(path):
    """The texts by language and topic: {language: {topic: texts}}, in the order of the file."""
    languages = {}
    for line in open(path, encoding="utf-8"):
        if not line.startswith("#"):
            topic, language, *texts = line.rstrip("\n").split("\t")
            languages.setdefault(language, {})[topic] = texts
    return languages


def pairs(topics):
    """The pairs of (topic, place) that are compared."""
    names = list(topics)
    for at, topic in enumerate(names):
        yield from (((topic, i), (topic, j)) for j in range(5) for i in range(j))
        for step in range(1, REACH + 1):
            other = names[(at + step) % len(names)]
            yield from (((topic, i), (other, j)) for i in range(5) for j in range(5))


def quantiles(topics, vector_of):
    similarities = [float(vector_of(*a) @ vector_of(*b)) for a, b in pairs(topics)]
    return np.quantile(similarities, LEVELS)


def main(path):
    languages = read(path)
    english = languages["en"]
    texts = [text for five in english.values() for text in five]
    vectors = dict(zip(texts, MiniLM().embed(texts)))
    print("# The similarities of all-MiniLM-L6-v2 at the quantiles of learn.rs, by language. tests/quality/reference_scale.py")
    print("# made them.")
    for language, topics in languages.items():
        row = quantiles(topics, lambda topic, place: vectors[english[topic][place]])
        print(language, *(f"{value:.4f}" for value in row), sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
