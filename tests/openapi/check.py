"""Checks openapi.yaml against the contract and the template: routes, errors.

Usage: python check.py CONTRACT, the output of `mneme-local contract --json`.
"""

import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

results = {"passed": 0, "failed": 0}


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's tags, whose values do not matter here."""


Template.add_multi_constructor("!", lambda loader, tag, node: None)


def check(what: str, found: object, expected: object) -> None:
    if found == expected:
        results["passed"] += 1
    else:
        results["failed"] += 1
        print(f"FAILED {what}\n  found    {found!r}\n  expected {expected!r}")


def source(path: str) -> str:
    return (ROOT / path).read_text()


def routes_in(paths: dict) -> set[str]:
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in METHODS & set(item)}


def check_routes(document: dict, contract: dict) -> None:
    routes = routes_in(document["paths"])
    declared = {f"{r['method']} {r['path']}" for operation in contract["operations"] for r in operation["routes"]}
    check("routes in the document or the contract alone", routes ^ declared, set())
    template = yaml.load(source("template.yaml"), Template)
    api = template["Resources"]["Api"]["Properties"]["DefinitionBody"]
    check("routes in the document or the template alone", routes ^ routes_in(api["paths"]), set())


def check_errors(document: dict, contract: dict) -> None:
    statuses = {error["name"]: error["status"] for error in contract["errors"]}
    schemas = document["components"]["schemas"]
    documented = {}
    for name in schemas:
        for part in schemas[name].get("allOf", []):
            properties = part.get("properties", {})
            if "type" in properties:
                check(f"{name}: type", properties["type"]["enum"], [f"urn:mneme:error:{name}"])
                [documented[name]] = properties["status"]["enum"]
    check("errors and their statuses", documented, statuses)


def schemas_in(node: object, document: dict) -> set[str]:
    """The names of the schemas that a response refers to, itself or through `components/responses`."""
    if isinstance(node, list):
        return set().union(*(schemas_in(child, document) for child in node))
    if not isinstance(node, dict):
        return set()
    if "$ref" in node:
        _, _, kind, name = node["$ref"].split("/")
        return {name} if kind == "schemas" else schemas_in(document["components"][kind][name], document)
    return set().union(*(schemas_in(child, document) for child in node.values()))


def check_errors_of_operations(document: dict, contract: dict) -> None:
    names = {error["name"] for error in contract["errors"]}
    for operation in contract["operations"]:
        if operation["direct_only"]:
            continue
        responses = [document["paths"][r["path"]][r["method"].lower()]["responses"] for r in operation["routes"]]
        documented = schemas_in(responses, document) & names
        check(f"{operation['name']}: errors in the document or the contract alone", documented ^ set(operation["errors"]), set())


def main() -> int:
    document = yaml.safe_load(source("openapi.yaml"))
    contract = json.loads(Path(sys.argv[1]).read_text())
    check_routes(document, contract)
    check_errors(document, contract)
    check_errors_of_operations(document, contract)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
