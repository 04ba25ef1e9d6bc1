"""Fits the ceiling of the probability at each similarity, and judges it on pairs kept apart.

usage: ceiling.py FEATURES_PROGRAM CEILING.tsv PAIRS.jsonl...

FEATURES_PROGRAM: the built `examples/features`, with an empty CEILING.tsv. Each file of pairs is one set, with lines of {"a", "b", "same"}; the sets are
not in the repository. Files whose names differ only after the first "-" are one kind of text, and each kind counts alike
where it has enough pairs.
Half of the pairs of each set is fitted, and the other half judges. Two pairs that share a question are in the same half.
The ceiling at a similarity is the share that is right among the pairs about as similar that the model takes for right. It
rises with the similarity.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "quality"))
from figures import expected_calibration_error, wrong_at_cosine  # noqa: E402
from pairs import clusters, read, scored  # noqa: E402

# The edges of the ranges of similarity, and the default cutoff: a pair is taken for right from it on.
EDGES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.000001)
CUTOFF = 0.7
# A kind with so many pairs in a range of similarity counts fully there, and one with fewer in proportion.
FULL_WEIGHT = 50


def is_fitted(pairs):
    """A mask of the pairs in the half that is fitted."""
    cluster = clusters(pairs)
    first = {}
    for pair, number in zip(pairs, cluster):
        text = min(pair["a"].strip().lower(), pair["b"].strip().lower())
        first[number] = min(first.get(number, text), text)
    fitted = {number: hashlib.sha256(text.encode()).digest()[0] % 2 == 0 for number, text in first.items()}
    return np.array([fitted[number] for number in cluster])


def fit(kinds):
    """The rising ceiling from the lower edge of each range on: [(similarity, probability)]."""
    points = []
    for low, high in zip(EDGES, EDGES[1:]):
        shares, weights = [], []
        for similarity, probability, same in kinds:
            at = (similarity >= low) & (similarity < high) & (probability >= CUTOFF)
            if at.any():
                shares.append(same[at].mean())
                weights.append(min(at.sum(), FULL_WEIGHT))
        if shares:
            points.append((low, np.average(shares, weights=weights), sum(weights)))
    edge, share, weight = map(np.array, zip(*points))
    return list(zip(edge, IsotonicRegression().fit_transform(edge, share, sample_weight=weight)))


def most_right(score, same, max_wrong=0.05):
    """The largest share of good pairs that is served with at most `max_wrong` of the served pairs wrong."""
    order = np.argsort(-score, kind="stable")
    good, wrong = np.cumsum(same[order]), np.cumsum(~same[order])
    holds = wrong <= max_wrong * (good + wrong)
    return good[holds].max() / same.sum() if holds.any() else 0.0


def main(program, ceiling_file, *files):
    sets, kinds = {}, {}
    for file in files:
        pairs = read(file)
        _, table = scored(pairs, program)
        same = np.array([pair["same"] for pair in pairs])
        sets[Path(file).stem] = (table, same, is_fitted(pairs))
    for name, (table, same, half) in sets.items():
        rows = half & ~table.is_vetoed
        kinds.setdefault(name.split("-")[0], []).append((table.similarity[rows], table.probability[rows], same[rows]))
    points = fit([tuple(map(np.concatenate, zip(*parts))) for parts in kinds.values()])
    lines = [f"{similarity:.4f}\t{ceiling:.4f}" for similarity, ceiling in points]
    Path(ceiling_file).write_text(
        "# The highest probability at a similarity. fit/ceiling.py fitted it on several kinds of texts. Do not edit it.\n"
        + "\n".join(lines)
        + "\n",
        "utf-8",
    )
    at, ceilings = map(np.array, zip(*points))
    print("| set, half kept apart | pairs | wrong at cosine's good hits | calibration error | good hits at 5 % wrong: cosine, without, with |")
    print("| --- | --- | --- | --- | --- |")
    for name, (table, same, half) in sets.items():
        rest = ~half
        without = np.where(table.is_vetoed, -1, table.probability)[rest]
        with_ceiling = np.minimum(without, np.interp(table.similarity, at, ceilings)[rest])
        similarity, same = table.similarity[rest], same[rest]
        cells = []
        for score in (without, with_ceiling):
            known = score >= 0
            cells.append((wrong_at_cosine(score, same, similarity, 0.85), expected_calibration_error(score[known], same[known]), most_right(score, same)))
        (ratio, error, good), (new_ratio, new_error, new_good) = cells
        print(
            f"| {name} | {len(same)} | {ratio:.0%}, {new_ratio:.0%} | {error:.3f}, {new_error:.3f} "
            f"| {most_right(similarity, same):.0%}, {good:.0%}, {new_good:.0%} |"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
