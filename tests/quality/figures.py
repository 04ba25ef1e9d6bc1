"""The figures that measure the guard."""

import numpy as np


def wrong_at_cosine(score, same, similarity, threshold):
    """The number of different pairs served by `score`, as a share of those served by cosine at `threshold`. The cutoff
    of `score` is the one that serves as many good pairs as cosine does."""
    hits = int(((similarity >= threshold) & same).sum())
    cutoff = np.sort(score[same])[::-1][hits - 1]
    return (score[~same] >= cutoff).sum() / (similarity[~same] >= threshold).sum()


def most_hits(score, same, similarity, max_wrong):
    """The largest share of good pairs that can be served with at most `max_wrong` of the others, with the thresholds of
    similarity and score for it: (share, threshold, cutoff)."""
    best = (0.0, None, None)
    for threshold in (-1.0, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        open_to = np.where(similarity >= threshold, score, -np.inf)
        for cutoff in np.unique(open_to[same]):
            served = open_to >= max(cutoff, 1e-9)
            if served[~same].mean() <= max_wrong and served[same].mean() > best[0]:
                best = (float(served[same].mean()), threshold, float(cutoff))
    return best


def expected_calibration_error(probability, same, bins=10):
    """The mean difference between predicted and observed probability over `bins` of equal width, weighted by pairs."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    parts = [place == bin for bin in range(bins)]
    return sum(abs(probability[part].mean() - same[part].mean()) * part.mean() for part in parts if part.any())
