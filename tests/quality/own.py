"""The labelled pairs of this repository: documents, conversations and questions by kind, from the tests of mneme-guard."""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "shared/guard/tests/pairs"
# D is the document, I the instruction. The tests of mneme-guard try more layouts.
LAYOUTS = ("D\n\nI", "I\n\nD", "Text: D\n\nQuestion: I")
DOCUMENT = (
    "The garden society was founded in 1921 by three teachers who wanted a place for roses. In its first years it had forty "
    "members. After the war the land was sold and the society moved to a field near the river. A flood in 1953 destroyed the "
    "greenhouse, and the members rebuilt it by hand. The board meets each month and publishes a report."
)


def _rows(name):
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def _prompt(layout, instruction):
    return layout.replace("I", "\0").replace("D", DOCUMENT).replace("\0", instruction)


def _conversation(contents):
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents.split(" | "))]


def sets():
    """Yields (name, pairs). A pair is {"a", "b", "same"}, whose sides are texts or lists of messages. The sets whose names
    end with "kept" were not looked at while the rules of the guard were made."""
    documents, conversations, kinds = {}, {}, {}
    for kind, language, a, b in _rows("documents.tsv"):
        name = f"documents, {language}" + (", kept" if kind.startswith("kept") else "")
        for layout in LAYOUTS:
            pair = {"a": _prompt(layout, a), "b": _prompt(layout, b), "same": not kind.endswith("different")}
            documents.setdefault(name, []).append(pair)
    for kind, a, b in _rows("conversations.tsv"):
        name = "conversations" + (", kept" if kind.startswith("kept") else "")
        pair = {"a": _conversation(a), "b": _conversation(b), "same": not kind.endswith("different")}
        conversations.setdefault(name, []).append(pair)
    for verdict, kind, language, a, b in _rows("kinds.tsv"):
        place = "English" if language == "en" else "other languages"
        name = f"{kind}, {place}" + (", kept" if verdict.startswith("kept") else "")
        a, b = (side.replace("\\n", "\n") for side in (a, b))
        kinds.setdefault(name, []).append({"a": a, "b": b, "same": not verdict.endswith("different")})
    yield from documents.items()
    yield from conversations.items()
    yield from kinds.items()
