"""Writes the word tables that `examples/pack.rs` packs: word frequencies from wordfreq, synonyms and antonyms from WordNet.

usage: tables.py rarity | synonyms WORDNET_DICT | opposites WORDNET_DICT OPPOSITES_TSV
"""

import itertools
import sys
from pathlib import Path

import wordfreq

# Words commoner than one in ten million (Zipf 2), so that a relation is one that people use.
RAREST_ZIPF = 2.5


def common(word):
    return word.isalpha() and wordfreq.zipf_frequency(word, "en") >= RAREST_ZIPF


def synsets(dictionary):
    """Each synset of WordNet's data files: part of speech, words, pointers as (symbol, from, target offset, target pos, to)."""
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
    """How often each (word, synset) was tagged in WordNet's corpora."""
    counts = {}
    for line in (Path(dictionary) / "index.sense").read_text("utf-8").splitlines():
        key, offset, _number, count = line.split()
        word, rest = key.split("%")
        pos = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}[rest[0]]
        counts[word, pos + offset] = (int(_number), int(count))
    return counts


def rarity():
    for word in wordfreq.top_n_list("en", 60000, wordlist="best"):
        if any(c.isalpha() for c in word):
            print(word, wordfreq.word_frequency(word, "en"), sep="\t")


def related(words_of, words, pointers, symbols):
    """The pairs of common words that pointers of these symbols join, word to word."""
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
        # A word's sense counts when it is among its first two: later ones are rarely meant.
        usual = [w for w in words if common(w) and tagged.get((w, key), (9, 0))[0] <= 2]
        pairs.update(tuple(sorted(pair)) for pair in itertools.combinations(sorted(set(usual)), 2))
        # Derived words (pay, payment) and what an adverb comes from (quickly, quick).
        pairs.update(related(words_of, words, pointers, {"+", "\\"}))
    for a, b in sorted(pairs):
        print(a, b, sep="\t")


def opposites(dictionary, listed):
    words_of = {key: words for key, words, _ in synsets(dictionary)}
    pairs = set()
    for _, words, pointers in synsets(dictionary):
        pairs.update(related(words_of, words, pointers, {"!"}))
    for line in Path(listed).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pairs.add(tuple(sorted(line.split("\t"))))
    for a, b in sorted(pairs):
        print(a, b, sep="\t")


if __name__ == "__main__":
    {"rarity": rarity, "synonyms": synonyms, "opposites": opposites}[sys.argv[1]](*sys.argv[2:])
