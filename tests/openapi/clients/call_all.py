"""Calls every operation through the client that openapi-python-client made of openapi.yaml.

Usage: python call_all.py URL, with the generated client on PYTHONPATH. The cache behind the URL is empty, and its
embeddings have 3 numbers. Each reply must have a documented status and be read into a model.
"""

import hashlib
import importlib
import pkgutil
import sys

from mneme_lambda_client import Client, api, models

NAMESPACE = "default"
HASH = hashlib.sha256(b"q").hexdigest()
PAIR = {"a": {}, "b": {}, "similarity": 0.9, "same": True}

# The operations in an order in which each finds what the earlier ones stored: their arguments and their status.
CALLS = {
    "put_entries": ({"body": models.EntryRequest(query="q", response="r", embedding=[1.0, 0.0, 0.0])}, 201),
    "lookup": ({"body": models.LookupRequest(query="q")}, 200),
    "give_feedback": ({"body": models.FeedbackRequest(query="s", id=1, right=True)}, 200),
    "get_entry": ({"id": 1}, 200),
    "find_entry": ({"namespace": NAMESPACE, "query_hash": HASH}, 200),
    "list_entries": ({"limit": 10}, 200),
    "touch_entry": ({"id": 1}, 200),
    "update_entry": ({"id": 1, "body": models.UpdateRequest(confidence_score=0.9)}, 200),
    "list_namespaces": ({}, 200),
    "set_quota": ({"namespace": NAMESPACE, "body": models.QuotaRequest(max_entries=9)}, 200),
    "get_quota": ({"namespace": NAMESPACE}, 200),
    "delete_quota": ({"namespace": NAMESPACE}, 200),
    "set_settings": ({"namespace": NAMESPACE, "body": models.SettingsRequest(cutoff=0.5)}, 200),
    "get_settings": ({"namespace": NAMESPACE}, 200),
    "list_settings": ({}, 200),
    "delete_settings": ({"namespace": NAMESPACE}, 200),
    "set_meta": ({"key": "guard:a", "body": models.MetaRequest(value=models.MetaRequestValue.OFF)}, 200),
    "get_meta": ({"key": "guard:a"}, 200),
    "list_meta": ({}, 200),
    "delete_meta": ({"key": "guard:a"}, 200),
    "stats": ({"namespace": NAMESPACE}, 200),
    "health": ({}, 200),
    "console": ({}, 200),
    "vacuum": ({"body": models.VacuumRequest(namespace=NAMESPACE)}, 200),
    # Pairs of one label only cannot be calibrated.
    "calibrate": ({"body": models.CalibrateRequest.from_dict({"pairs": [PAIR] * 20})}, 400),
    "reembed": ({"body": models.ReembedRequest.from_dict({"action": "status"})}, 200),
    "snapshot": ({}, 501),
    "restore": ({}, 501),
    # The server has no upstream.
    "create_chat_completion": (
        {"body": models.UpstreamBody.from_dict({"model": "m", "messages": [{"role": "user", "content": "q"}]})},
        502,
    ),
    "create_embeddings": ({"body": models.UpstreamBody.from_dict({"model": "m", "input": "q"})}, 502),
    "list_models": ({}, 502),
    "release_lease": ({"body": models.ReleaseRequest(query="q", lease_token="t")}, 200),
    "delete_entries": ({"body": models.DeleteRequest(query="q")}, 200),
    "delete_entry": ({"id": 1}, 404),
    "clear_namespace": ({"namespace": NAMESPACE}, 200),
    "clear_all": ({"confirm": models.ClearAllConfirm("all")}, 200),
}


def main(url: str) -> int:
    modules = {}
    for module in pkgutil.walk_packages(api.__path__, f"{api.__name__}."):
        if not module.ispkg:
            modules[module.name.rpartition(".")[2]] = importlib.import_module(module.name)
    failed = len(set(modules) ^ set(CALLS))
    if failed:
        print("operations in the client or in this file alone:", set(modules) ^ set(CALLS))
    client = Client(base_url=url)
    for name, (arguments, status) in CALLS.items():
        reply = modules[name].sync_detailed(client=client, **arguments)
        if reply.status_code != status or reply.parsed is None:
            failed += 1
            print(f"FAILED {name}: {reply.status_code} {reply.content!r}")
    print(f"Python: {len(CALLS)} operations called, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
