"""Checks openapi.yaml against the code and the template: routes, errors."""

import re
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


def check_routes(document: dict) -> None:
    routes = routes_in(document["paths"])
    in_code = re.findall(r'Route::new\(\s*"(\w+)",\s*"([^"]+)"', source("shared/src/routes.rs"))
    check("routes in the document or the code alone", routes ^ {f"{method} {path}" for method, path in in_code}, set())
    template = yaml.load(source("template.yaml"), Template)
    api = template["Resources"]["Api"]["Properties"]["DefinitionBody"]
    check("routes in the document or the template alone", routes ^ routes_in(api["paths"]), set())


def check_errors(document: dict) -> None:
    code = source("shared/src/error.rs")
    names = dict(re.findall(r'Self::(\w+) => "(\w+)"', code.split("fn name(")[1].split("fn status(")[0]))
    statuses = {names[kind]: int(status) for kind, status in re.findall(r"Self::(\w+) => (\d{3}),", code)}
    schemas = document["components"]["schemas"]
    documented = {}
    for name in schemas:
        for part in schemas[name].get("allOf", []):
            properties = part.get("properties", {})
            if "type" in properties:
                check(f"{name}: type", properties["type"]["const"], f"urn:mneme:error:{name}")
                documented[name] = properties["status"]["const"]
    check("errors and their statuses", documented, statuses)
    types = {f"urn:mneme:error:{name}" for name in statuses}
    check("types in Problem or the code alone", types ^ set(schemas["Problem"]["properties"]["type"]["enum"]), set())


def main() -> int:
    document = yaml.safe_load(source("openapi.yaml"))
    check_routes(document)
    check_errors(document)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
