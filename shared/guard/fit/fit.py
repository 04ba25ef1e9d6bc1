"""Fits the guard's logistic models and writes their weights.

usage: fit.py PAIRS.jsonl FEATURES_PROGRAM MODEL.tsv SIMILARITY.tsv

PAIRS.jsonl: lines of {"a", "b", "same"}. FEATURES_PROGRAM: the built `examples/features`. Two pairs that share a question,
directly or through other pairs, are always in the same part of a split. The weights are fitted on four fifths of the pairs.
The other fifth is held out to evaluate them. tests/quality makes the same split.
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

# The inverse strength of the L2 penalty. It was chosen among a few values, compared on all the pairs and on fow-cache.
INVERSE_L2_PENALTY = 0.1
SIMILARITY_KNOTS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
# Above this similarity, a feature's weight may change with the similarity. src/compare/model.rs has the same number.
NEAR = 0.7


def terms(names):
    """The model's terms, as in the weights file: a feature, a feature above a knot, a feature times nearness."""
    yield from names
    yield from (f"similarity>{knot}" for knot in SIMILARITY_KNOTS)
    yield from (f"{name}*near" for name in names if name not in ("similarity", "closeness"))


def design(names, features):
    """The values of the terms, `[pairs, terms]`."""
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
    """The weights and the intercept, for the columns of `x` as they are."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=INVERSE_L2_PENALTY, max_iter=5000).fit(scaler.transform(x), same)
    weights = model.coef_[0] / scaler.scale_
    return weights, model.intercept_[0] - (weights * scaler.mean_).sum()


def probability(x, model):
    weights, intercept = model
    return 1 / (1 + np.exp(-(x @ weights + intercept)))


def label_noise(is_identical, same):
    """The share of pairs with the same words in the same order that annotators call different.

    It is the lower end of the one-sided 90 % interval (Clopper and Pearson), so that the correction is not larger than
    the data support.
    """
    different = int((is_identical & ~same).sum())
    return float(beta.ppf(0.1, different, int(is_identical.sum()) - different + 1)) if different else 0.0


def main(pairs_file, program, model_file, similarity_file):
    pairs = read(pairs_file)
    names, table = scored(pairs, program)
    same = np.array([pair["same"] for pair in pairs])
    x = design(names, table.features)
    cluster = clusters(pairs)
    apart = is_kept_apart(pairs, cluster)
    # The model is for pairs without a veto.
    unvetoed = ~table.is_vetoed

    # The label is what an annotator said. The confidence should say whether the answer is right.
    noise = label_noise((table.features[:, names.index("identical")] == 1) & ~apart, same)
    print(f"label noise: {noise:.4f}")

    def report(title, rows, p):
        score = np.where(unvetoed, p, -1.0)[rows]
        right = np.minimum(p / (1 - noise), 1)
        wrong = [wrong_at_cosine(score, same[rows], table.similarity[rows], at) for at in (0.85, 0.9)]
        error = expected_calibration_error(right[rows & unvetoed], same[rows & unvetoed])
        plain = expected_calibration_error(p[rows & unvetoed], same[rows & unvetoed])
        print(
            f"{title}: {rows.sum()} pairs, {same[rows].sum()} same; wrong hits as a share of cosine's, at as many good "
            f"hits as cosine has: {wrong[0]:.1%} at 0.85, {wrong[1]:.1%} at 0.90; calibration error against the labels: "
            f"{error:.4f}, {plain:.4f} before the correction for label noise"
        )

    crossed = np.zeros(len(pairs))
    part = np.flatnonzero(~apart)
    for train, test in GroupKFold(5).split(x[part], same[part], cluster[part]):
        train = part[train][unvetoed[part[train]]]
        crossed[part[test]] = probability(x[part[test]], fitted(x[train], same[train]))
    report("cross-validated on the fitting part", ~apart, crossed)
    model = fitted(x[~apart & unvetoed], same[~apart & unvetoed])
    report("held out", apart, probability(x, model))

    write(model_file, (~apart & unvetoed).sum(), noise, list(terms(names)), model)

    # The second model takes the similarity alone. It is fitted on all pairs, those with a veto included.
    known = [at for at, term in enumerate(terms(names)) if term.partition(">")[0] == "similarity"]
    model = fitted(x[~apart][:, known], same[~apart])
    p = probability(x[:, known], model)
    error = expected_calibration_error(p[apart], same[apart])
    print(f"similarity alone, held out: calibration error {error:.4f}")
    known_terms = [term for at, term in enumerate(terms(names)) if at in known]
    write(similarity_file, (~apart).sum(), noise, known_terms, model)


def write(file, pairs, noise, names, model):
    weights, intercept = model
    lines = [
        f"# The terms and weights of a logistic model. fit/fit.py fitted it on {pairs} pairs of Quora Question Pairs (the part",
        "# in the GPTCache repository) with the embeddings of all-MiniLM-L6-v2. A term is a feature, a feature's excess over a",
        f"# knot (\">\"), or a feature times max(0, similarity - {NEAR}) (\"*near\"). Do not edit the weights.",
        f"noise\t{noise:.6f}",
        f"intercept\t{intercept:.6f}",
    ]
    lines += [f"{term}\t{weight:.6f}" for term, weight in zip(names, weights)]
    Path(file).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
