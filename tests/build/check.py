"""Checks the output of `sam build`: one small binary per function, for the system libraries of Amazon Linux 2023.

The built template has to name that binary's folder as the code of the function.

Usage: python check.py CONTRACT, the output of `mneme-local contract --json`.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from samtranslator.yaml_helper import yaml_parse

BUILD = Path(__file__).resolve().parents[2] / ".aws-sam/build"
# Above the goal of 5 MB, which some functions miss (PERFORMANCE.md, "Start of a function").
MAX_ZIPPED_BYTES = 6_500_000
# The version in provided.al2023 (Lambda Developer Guide, "OS-only runtimes": Amazon Linux 2023, glibc 2.34).
NEWEST_GLIBC = (2, 34)


def zipped(path: Path) -> int:
    """The size of a deployment package, as SAM makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.write(path, "bootstrap")
    return len(buffer.getvalue())


def glibc(path: Path) -> tuple[int, ...]:
    """The newest version of glibc that the binary asks for."""
    with path.open("rb") as file:
        needed = [s for s in ELFFile(file).iter_sections() if isinstance(s, GNUVerNeedSection)]
        names = [version.name for section in needed for _, versions in section.iter_versions() for version in versions]
    return max(tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names if name.startswith("GLIBC_2"))


def main() -> int:
    failed = 0
    functions = [operation["name"] for operation in json.loads(Path(sys.argv[1]).read_text())["operations"]]
    resources = yaml_parse((BUILD / "template.yaml").read_text())["Resources"]
    for function in functions:
        name = f"{function.capitalize()}Function"
        folder = BUILD / name
        deployed = resources[name]["Properties"]["CodeUri"]
        files = sorted(path.name for path in folder.iterdir())
        size, newest = zipped(folder / "bootstrap"), glibc(folder / "bootstrap")
        good = deployed == name and files == ["bootstrap"] and size <= MAX_ZIPPED_BYTES and newest <= NEWEST_GLIBC
        failed += not good
        print(f"{function:12} {size / 1e6:.1f} MB zipped, glibc {'.'.join(map(str, newest))}{'' if good else '  FAILED'}")
    print(f"{len(functions) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
