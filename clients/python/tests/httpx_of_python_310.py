"""A plugin of pytest that gives the package httpx in place of httpx2, as on Python 3.10: `-p httpx_of_python_310`."""

import sys

import httpx

sys.modules["httpx2"] = httpx
