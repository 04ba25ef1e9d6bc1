"""Expands the loops of template.yaml, as CloudFormation's transform AWS::LanguageExtensions does.

SAM's CLI has such an expansion, but it also replaces each parameter by its default value. The checks need the
references to parameters. This expansion replaces `Fn::ForEach`, `Fn::FindInMap` with constant keys and `Fn::Sub` with constant
values, and nothing else.

Usage: python expand.py TEMPLATE OUTPUT. Writes the expanded template as JSON, for linters that ignore loops.
"""

import json
import sys
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

LOOP = "Fn::ForEach::"


def with_value(node: object, identifier: str, value: str) -> object:
    """`node` with `value` in place of `${identifier}` and of references to `identifier`."""
    if node == {"Ref": identifier}:
        return value
    if isinstance(node, dict):
        return {with_value(key, identifier, value): with_value(child, identifier, value) for key, child in node.items()}
    if isinstance(node, list):
        return [with_value(child, identifier, value) for child in node]
    return node.replace(f"${{{identifier}}}", value) if isinstance(node, str) else node


def without_loops(section: dict) -> dict:
    """`section` with each loop replaced by what it repeats. Raises ValueError if two entries have the same key."""
    expanded = {}
    for key, child in section.items():
        entries = [{key: child}]
        if key.startswith(LOOP):
            identifier, values, body = child
            entries = [without_loops(with_value(body, identifier, value)) for value in values]
        for entry in entries:
            if repeated := expanded.keys() & entry.keys():
                raise ValueError(f"{key} repeats {repeated}")
            expanded.update(entry)
    return expanded


def resolved(node: object, mappings: dict) -> object:
    """`node` with mapped values and constant substitutions in place of the functions that name them."""
    if isinstance(node, list):
        return [resolved(child, mappings) for child in node]
    if not isinstance(node, dict):
        return node
    node = {key: resolved(child, mappings) for key, child in node.items()}
    match node:
        case {"Fn::FindInMap": [str(name), str(key), str(attribute)]}:
            return mappings[name][key][attribute]
        case {"Fn::Sub": [str(text), dict(values)]} if all(isinstance(value, str) for value in values.values()):
            for name, value in values.items():
                text = text.replace(f"${{{name}}}", value)
            return {"Fn::Sub": text} if "${" in text else text
        case {"Ref": {"Fn::Sub": str(text)}} if "${" not in text:
            return {"Ref": text}
        case {"Fn::Sub": str(text)} if "${" not in text:
            return text
    return node


def expanded(text: str) -> dict:
    """The template `text` without loops and mapped values. SAM's resources are kept as they are."""
    template = yaml_parse(text)
    for section in ("Resources", "Outputs"):
        template[section] = resolved(without_loops(template[section]), template["Mappings"])
    return template


def main() -> None:
    source, destination = map(Path, sys.argv[1:])
    destination.write_text(json.dumps(expanded(source.read_text()), indent=2))


if __name__ == "__main__":
    main()
