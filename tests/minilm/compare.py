"""Compares the Rust embedder with NumPy.

Usage: compare.py EXAMPLE DIRECTORY. EXAMPLE is the built example `embed`, DIRECTORY the fetched model.
"""

import json
import subprocess
import sys

import numpy as np

# The figures of QUALITY.md use the same NumPy computation. It shares no code with the crate.
from minilm import MiniLM
from texts import sweep, texts

MIN_COSINE = 0.9999


def rust(example, directory, lines, *options):
    """The example's output for each of `lines`."""
    asked = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([example, directory, *options], input=asked.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def fail(fact):
    print(f"FAILED: {fact}")
    sys.exit(1)


def main(example, directory):
    model = MiniLM()
    pieces = lambda text: model.tokenizer.encode(text).ids

    swept = list(sweep())
    for text, ids in zip(swept, rust(example, directory, swept, "--pieces"), strict=True):
        if ids != pieces(text):
            wrong = next(word for word in text.split(" ") if pieces(word) != rust(example, directory, [word], "--pieces")[0])
            fail(f"the word pieces of {wrong!a} are {pieces(wrong)}")
    print(f"every Unicode character has the same word pieces ({len(swept)} texts)")

    asked = texts(lambda text: len(pieces(text)) - 2)
    lengths = [len(pieces(text)) for text in asked]
    missing = set(range(2, 129)) - set(lengths)
    if missing or max(lengths) != 256 or len(asked) < 200:
        fail(f"the texts do not cover all lengths: {len(asked)} texts, missing lengths {missing}")
    for text, ids in zip(asked, rust(example, directory, asked, "--pieces"), strict=True):
        if ids != pieces(text):
            fail(f"the word pieces of {text!a} are {ids}, not {pieces(text)}")

    expected = model.embed(asked)
    found = np.array(rust(example, directory, asked), np.float64)
    lengths_off = np.abs(np.linalg.norm(found, axis=1) - 1).max()
    cosines = (found * expected).sum(1) / np.linalg.norm(expected, axis=1)
    worst = int(cosines.argmin())
    print(f"{len(asked)} texts of {min(lengths)} to {max(lengths)} word pieces: smallest cosine {cosines[worst]:.9f}", end=", ")
    print(f"of {asked[worst][:40]!a}; mean {cosines.mean():.9f}; greatest error of a length {lengths_off:.1e}")
    if not cosines[worst] >= MIN_COSINE or not lengths_off < 1e-5:
        fail(f"a cosine is below {MIN_COSINE}, or a vector is not of unit length")


main(*sys.argv[1:])
