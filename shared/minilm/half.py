"""Converts the matrices of all-MiniLM-L6-v2 to half precision, rounded to nearest, ties to even.

Usage: half.py FROM.safetensors TO.safetensors. Vectors stay float32, and unused tensors are left out. The same input
gives the same bytes on any machine. The script needs only Python.
"""

import json
import struct
import sys

UNUSED = {"embeddings.position_ids"}


def main(source, target):
    with open(source, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(length))
        data = file.read()
    entries.pop("__metadata__", None)
    header, parts, at = {}, [], 0
    for name, entry in sorted(entries.items()):
        if name in UNUSED:
            continue
        start, end = entry["data_offsets"]
        part, dtype = data[start:end], entry["dtype"]
        if dtype != "F32":
            sys.exit(f"half.py: {name} is {dtype}, not F32")
        if len(entry["shape"]) == 2:
            count = len(part) // 4
            part, dtype = struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", part)), "F16"
        header[name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(parts)


main(*sys.argv[1:])
