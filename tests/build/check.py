"""Checks what `sam build` left: one binary for each function, small, and for the system libraries of Amazon Linux 2023."""

import io
import re
import sys
import zipfile
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

ROOT = Path(__file__).resolve().parents[2]
ROUTES_RS = (ROOT / "shared/src/routes.rs").read_text()
FUNCTIONS = re.findall(r'"(\w+)"', re.search(r"FUNCTIONS: &\[&str\] = &\[(.*?)\];", ROUTES_RS, re.S)[1])
MOST_ZIPPED = 5_000_000
# What provided.al2023 has (Lambda Developer Guide, "OS-only runtimes": Amazon Linux 2023, glibc 2.34).
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
    for function in FUNCTIONS:
        folder = ROOT / f".aws-sam/build/{function.capitalize()}Function"
        files = sorted(path.name for path in folder.iterdir())
        size, newest = zipped(folder / "bootstrap"), glibc(folder / "bootstrap")
        good = files == ["bootstrap"] and size <= MOST_ZIPPED and newest <= NEWEST_GLIBC
        failed += not good
        print(f"{function:12} {size / 1e6:.1f} MB zipped, glibc {'.'.join(map(str, newest))}{'' if good else '  FAILED'}")
    print(f"{len(FUNCTIONS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
