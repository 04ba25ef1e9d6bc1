"""Writes the word tables that `examples/pack.rs` packs.

The frequencies come from wordfreq, the synonyms and antonyms from WordNet.

usage: tables.py rarity | synonyms WORDNET_DICT | opposites WORDNET_DICT OPPOSITES_TSV CONTRASTS_TSV
"""

import itertools
import sys
from pathlib import Path

import wordfreq

# The least frequency of a word in a relation, in wordfreq's Zipf scale (the decimal logarithm of the frequency per 10^9
# words). A relation of rarer words is one that people hardly use.
MIN_ZIPF = 2.5


def common(word):
    return word.isalpha() and wordfreq.zipf_frequency(word, "en") >= MIN_ZIPF


def synsets(dictionary):
    """Yields each synset of WordNet's data files as (key, words, pointers).

    A key is the part of speech and the offset. A pointer is (symbol, index of the source word, key of the target, index of
    the target word). The indexes begin with 1; 0 means the whole synset.
    """
    for pos in ("noun", "verb", "adj", "adv"):
        for line in (Path(dictionary) / f"data.{pos}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            words = [fields[4 + 2 * i].split("(")[0].lower() for i in range(count)]
            rest = fields[4 + 2 * count :]
            pointers = []
            for i in range(int(rest[0])):
                symbol, offset, target_pos, places = rest[1 + 4 * i : 5 + 4 * i]
                pointers.append((symbol, int(places[:2], 16), target_pos + offset, int(places[2:], 16)))
            yield fields[2].replace("s", "a") + fields[0], words, pointers


def senses(dictionary):
    """For each (word, synset key): the number of the sense, 1 for the most frequent, and its count in WordNet's corpora."""
    counts = {}
    for line in (Path(dictionary) / "index.sense").read_text("utf-8").splitlines():
        key, offset, number, count = line.split()
        word, rest = key.split("%")
        pos = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}[rest[0]]
        counts[word, pos + offset] = (int(number), int(count))
    return counts


def rarity():
    for word in wordfreq.top_n_list("en", 60000, wordlist="best"):
        if any(c.isalpha() for c in word):
            print(word, wordfreq.word_frequency(word, "en"), sep="\t")


def related(words_of, words, pointers, symbols):
    """Yields the pairs of common words that are joined by pointers with these symbols."""
    for symbol, source, target, place in pointers:
        if symbol in symbols and source and place and target in words_of:
            a, b = words[source - 1], words_of[target][place - 1]
            if a != b and common(a) and common(b):
                yield tuple(sorted((a, b)))


def synonyms(dictionary):
    tagged = senses(dictionary)
    words_of = {key: words for key, words, _ in synsets(dictionary)}
    pairs = set()
    for key, words, pointers in synsets(dictionary):
        # Only the two most frequent senses of a word count. Others are rarely meant.
        usual = [w for w in words if common(w) and tagged.get((w, key), (9, 0))[0] <= 2]
        pairs.update(tuple(sorted(pair)) for pair in itertools.combinations(sorted(set(usual)), 2))
        # Derived words (pay, payment), and adjectives with their adverbs (quick, quickly).
        pairs.update(related(words_of, words, pointers, {"+", "\\"}))
    for a, b in sorted(pairs):
        print(a, b, sep="\t")


def contrast_sets(listed):
    """Yields each pair of words of two sides of a contrast set."""
    for line in Path(listed).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield from itertools.product(*(side.split(",") for side in line.split("\t")))


def opposites(dictionary, listed, contrasting):
    words_of = {key: words for key, words, _ in synsets(dictionary)}
    pairs = set()
    for _, words, pointers in synsets(dictionary):
        pairs.update(related(words_of, words, pointers, {"!"}))
    for line in Path(listed).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pairs.add(tuple(sorted(line.split("\t"))))
    pairs.update(tuple(sorted(pair)) for pair in contrast_sets(contrasting))
    for a, b in sorted(pairs):
        print(a, b, sep="\t")


if __name__ == "__main__":
    {"rarity": rarity, "synonyms": synonyms, "opposites": opposites}[sys.argv[1]](*sys.argv[2:])
