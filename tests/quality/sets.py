"""Measures the guard on sets of labelled pairs, one set per file, without a cache.

Usage: sets.py FEATURES [FOLDER [EVERY]]

FEATURES is the built `examples/features` of mneme-guard. The documents and conversations of this repository come first.
FOLDER holds files of JSON lines {"a", "b", "same"}; it is not part of the repository. EVERY takes each so many-th pair of a
file (default: 1). A pair counts as served if its cosine is at least
the product's default threshold, and, with the guard, if nothing vetoes it and its probability reaches the default cutoff.
"""

import sys
from pathlib import Path

import numpy as np
from own import sets as own_sets
from pairs import read, scored

THRESHOLD = 0.85
CUTOFF = 0.7


def all_sets(folder, every):
    yield from own_sets()
    for file in sorted(Path(folder).glob("*.jsonl")) if folder else ():
        yield file.stem, read(file)[:: int(every)]


def main(program, folder=None, every=1):
    print("| set | pairs, good / different | cosine alone: good / different served | guard: good / different served | vetoes of good pairs |")
    print("| --- | --- | --- | --- | --- |")
    for name, items in all_sets(folder, every):
        _, table = scored(items, program)
        same = np.array([item["same"] for item in items])
        alone = table.similarity >= THRESHOLD
        served = alone & ~table.is_vetoed & (table.probability >= CUTOFF)
        share = lambda mask, part: f"{mask[part].mean():.1%}" if part.any() else "–"
        vetoed = alone & table.is_vetoed & same
        kinds = [table.veto[i] for i in np.flatnonzero(vetoed)]
        counts = ", ".join(f"{kind} {kinds.count(kind)}" for kind in sorted(set(kinds))) or "none"
        print(
            f"| {name} | {same.sum()} / {(~same).sum()} | {share(alone, same)} / {share(alone, ~same)} "
            f"| {share(served, same)} / {share(served, ~same)} | {counts} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
