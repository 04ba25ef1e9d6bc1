"""Fits the guard's logistic models and writes their weights.

usage: fit.py PAIRS.jsonl FEATURES_PROGRAM MODEL.tsv SIMILARITY.tsv

PAIRS.jsonl: lines of {"a", "b", "same"}. FEATURES_PROGRAM: the built `examples/features`. Pairs that share a question, directly or
through others, stand on one side of each split. The weights come from four fifths; the fifth that is kept apart judges them,
and so does tests/quality, which makes the same split.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from scipy.stats import beta
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "quality"))
from figures import expected_calibration_error, wrong_at_cosine  # noqa: E402
from pairs import is_kept_apart, clusters, read, scored  # noqa: E402

# The inverse of the ridge: of a few values compared on all the pairs, and on fow-cache beside them.
RIDGE = 0.1
SIMILARITY_KNOTS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
# From here on, comparisons may weigh differently with the similarity.
NEAR = 0.7


def terms(names):
    """The model's terms, as the weights file writes them: a feature, a feature above a knot, a feature times nearness."""
    yield from names
    yield from (f"similarity>{knot}" for knot in SIMILARITY_KNOTS)
    yield from (f"{name}*near" for name in names if name not in ("similarity", "closeness"))


def design(names, features):
    """`[pairs, terms]`."""
    near = np.maximum(0, features[:, names.index("similarity")] - NEAR)
    columns = []
    for term in terms(names):
        if ">" in term:
            name, knot = term.split(">")
            columns.append(np.maximum(0, features[:, names.index(name)] - float(knot)))
        elif term.endswith("*near"):
            columns.append(features[:, names.index(term[:-5])] * near)
        else:
            columns.append(features[:, names.index(term)])
    return np.stack(columns, axis=1)


def fitted(x, same):
    """Weights and intercept for the raw columns of `x`."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=RIDGE, max_iter=5000).fit(scaler.transform(x), same)
    weights = model.coef_[0] / scaler.scale_
    return weights, model.intercept_[0] - (weights * scaler.mean_).sum()


def probability(x, model):
    weights, intercept = model
    return 1 / (1 + np.exp(-(x @ weights + intercept)))


def label_noise(is_identical, same):
    """How often annotators call two questions of the same words in the same order different: the lower end of the one-sided 90 %
    interval (Clopper and Pearson), so that the correction is made no larger than what was seen supports."""
    different = int((is_identical & ~same).sum())
    return float(beta.ppf(0.1, different, int(is_identical.sum()) - different + 1)) if different else 0.0


def main(pairs_file, program, model_file, similarity_file):
    pairs = read(pairs_file)
    names, table = scored(pairs, program)
    same = np.array([pair["same"] for pair in pairs])
    x = design(names, table.features)
    cluster = clusters(pairs)
    apart = is_kept_apart(pairs, cluster)
    # The model speaks of pairs without a veto only.
    free = ~table.is_vetoed

    # The label says what an annotator said; the confidence is to say whether the answer is right.
    noise = label_noise((table.features[:, names.index("identical")] == 1) & ~apart, same)
    print(f"label noise: {noise:.4f}")

    def report(title, rows, p):
        score = np.where(free, p, -1.0)[rows]
        right = np.minimum(p / (1 - noise), 1)
        wrong = [wrong_at_cosine(score, same[rows], table.similarity[rows], at) for at in (0.85, 0.9)]
        error = expected_calibration_error(right[rows & free], same[rows & free])
        plain = expected_calibration_error(p[rows & free], same[rows & free])
        print(
            f"{title}: {rows.sum()} pairs, {same[rows].sum()} same; wrong hits of cosine's at its good hits: "
            f"{wrong[0]:.1%} at 0.85, {wrong[1]:.1%} at 0.90; calibration error against the labels {error:.4f}, {plain:.4f} before the correction for their noise"
        )

    crossed = np.zeros(len(pairs))
    part = np.flatnonzero(~apart)
    for train, test in GroupKFold(5).split(x[part], same[part], cluster[part]):
        train = part[train][free[part[train]]]
        crossed[part[test]] = probability(x[part[test]], fitted(x[train], same[train]))
    report("cross-validated, the fitting part", ~apart, crossed)
    model = fitted(x[~apart & free], same[~apart & free])
    report("kept apart", apart, probability(x, model))

    write(model_file, (~apart & free).sum(), noise, list(terms(names)), model)

    # What is right where nothing but the similarity is known: of all pairs, those that contradict each other among them.
    known = [at for at, term in enumerate(terms(names)) if term.partition(">")[0] == "similarity"]
    model = fitted(x[~apart][:, known], same[~apart])
    p = probability(x[:, known], model)
    print(f"by similarity alone, kept apart: calibration error {expected_calibration_error(p[apart], same[apart]):.4f}")
    write(similarity_file, (~apart).sum(), noise, [term for at, term in enumerate(terms(names)) if at in known], model)


def write(file, pairs, noise, names, model):
    weights, intercept = model
    lines = [
        f"# A logistic model's terms and weights, by fit/fit.py from {pairs} pairs of Quora Question Pairs (the part that the",
        "# GPTCache repository carries) with the embeddings of all-MiniLM-L6-v2. A term: a feature; a feature above a knot; a",
        f"# feature times max(0, similarity - {NEAR}) (\"near\"). Do not edit.",
        f"noise\t{noise:.6f}",
        f"intercept\t{intercept:.6f}",
    ]
    lines += [f"{term}\t{weight:.6f}" for term, weight in zip(names, weights)]
    Path(file).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
