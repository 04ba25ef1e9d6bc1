"""Good hits against wrong hits, of the guard and of cosine alone, on fow-cache and on natural question pairs.

usage: quality.py PROGRAMS PLOT.svg [PAIRS.jsonl]

PROGRAMS: the folder of mneme-guard's built examples. Exits 1 when a goal is missed.
"""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
from fow_cache.data import load_conversations, load_questions
from figures import expected_calibration_error, most_hits, wrong_at_cosine
from minilm import embed_all
from pairs import clusters, is_kept_apart, read, scored

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

THRESHOLD = 0.85
CUTOFF = 0.7


class Goals:
    """What was reached, beside what was to be."""

    def __init__(self):
        self.missed = 0

    def check(self, name, value, goal, at_most):
        reached = value <= goal if at_most else value >= goal
        self.missed += not reached
        print(f"{'ok    ' if reached else 'MISSED'} {name}: {value:.1%} (goal {'≤' if at_most else '≥'} {goal:.1%})")


def label(item):
    """fow-cache's own default: pairs whose answer depends on the application count as traps."""
    return bool(item["same_answer"]) and not item.get("ambiguous")


def judge_questions(programs):
    """Scores of fow-cache's questions: (similarity, score with vetoed pairs at 0, same, category)."""
    items = load_questions()
    _, table = scored(items, programs / "features")
    same = np.array([label(item) for item in items])
    return table.similarity, table.probability, same, np.array([item["category"] for item in items])


def judge_conversations(programs):
    """Of fow-cache's conversations: (served by default, served by cosine of the last message alone, same, subtype)."""
    items = load_conversations()
    vectors = embed_all([item[side][-1]["content"] for item in items for side in "ab"])
    lines = []
    similarities = []
    for item in items:
        a, b = (vectors[item[side][-1]["content"]] for side in "ab")
        similarities.append(float(a @ b))
        lines.append(json.dumps({"a": item["a"], "b": item["b"], "similarity": similarities[-1]}))
    answers = subprocess.run(
        [programs / "conversations"], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    rows = [json.loads(line) for line in answers.stdout.splitlines()]
    served = np.array(
        [r["meet"] and s >= THRESHOLD and (r["probability"] or 0) >= CUTOFF for r, s in zip(rows, similarities)]
    )
    alone = np.array(similarities) >= THRESHOLD
    return served, alone, np.array([label(item) for item in items]), np.array([item["subtype"] for item in items])


def by_group(title, groups, served, alone):
    print(f"\n{title}: served by default, and by cosine alone at {THRESHOLD}")
    for group in dict.fromkeys(groups):
        part = groups == group
        print(f"  {group:<28}{served[part].mean():7.1%}{alone[part].mean():9.1%}   of {part.sum()}")


def curve(score, same):
    """Shares (wrong, good) served at each cutoff."""
    order = np.argsort(-score, kind="stable")
    order = order[score[order] > 0]
    return np.cumsum(~same[order]) / (~same).sum(), np.cumsum(same[order]) / same.sum()


def plot(axes, title, similarity, score, same):
    axes.plot(*curve(similarity, same), label="cosine alone")
    axes.plot(*curve(score, same), label="with the guard")
    at = similarity >= THRESHOLD
    axes.plot(at[~same].mean(), at[same].mean(), "o", color="C0", label=f"cosine at {THRESHOLD}")
    at = at & (score >= CUTOFF)
    axes.plot(at[~same].mean(), at[same].mean(), "o", color="C1", label="default")
    axes.set(title=title, xlabel="wrong hits, of different pairs", ylabel="good hits, of same pairs")
    axes.set(xlim=(0, 0.5), ylim=(0, 1))
    axes.legend(loc="lower right")


def main(programs, plot_file, pairs_file=None):
    programs, goals = Path(programs), Goals()
    figure, axes = pyplot.subplots(1, 2 if pairs_file else 1, figsize=(11 if pairs_file else 6, 4.5), squeeze=False)

    similarity, score, same, groups = judge_questions(programs)
    served = (similarity >= THRESHOLD) & (score >= CUTOFF)
    by_group("fow-cache, questions", groups, served, similarity >= THRESHOLD)
    goals.check("traps served by default", served[~same].mean(), 0.08, True)
    goals.check("good pairs served by default", served[same].mean(), 0.51, False)
    for most, goal in ((0.05, 0.45), (0.01, 0.30)):
        share, threshold, cutoff = most_hits(score, same, similarity, most)
        name = f"good pairs served with ≤ {most:.0%} of the traps (threshold {threshold}, cutoff {cutoff:.3f})"
        goals.check(name, share, goal, False)
    plot(axes[0][0], "fow-cache, questions", similarity, score, same)

    served, alone, same, groups = judge_conversations(programs)
    by_group("fow-cache, conversations", groups, served, alone)
    goals.check("conversation traps served", served[~same].mean(), 0.05, True)
    goals.check("good conversations served", served[same].mean(), 0.5, False)

    if pairs_file:
        items = read(pairs_file)
        _, table = scored(items, programs / "features")
        same = np.array([item["same"] for item in items])
        apart, free = is_kept_apart(items, clusters(items)), ~table.is_vetoed
        print(f"\nnatural pairs, the part kept apart: {apart.sum()} pairs, {same[apart].sum()} same")
        for at, goal in ((0.85, 0.70), (0.90, 0.65)):
            wrong = wrong_at_cosine(table.probability[apart], same[apart], table.similarity[apart], at)
            goals.check(f"different pairs served at the good hits of cosine at {at}, of cosine's", wrong, goal, True)
        part = apart & free
        error = expected_calibration_error(table.probability[part], same[part])
        goals.check("expected calibration error of what is not vetoed", error, 0.03, True)
        plot(axes[0][1], "natural pairs, kept apart", table.similarity[apart], table.probability[apart], same[apart])

    figure.tight_layout()
    figure.savefig(plot_file)
    return goals.missed


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
