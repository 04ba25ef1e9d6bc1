"""Compares the exact search of mneme-lambda with other libraries in one run: one thread, threshold 0.85, k = 3.

Usage: python compare.py EXAMPLE WORK [CASE...]

The rows are unit vectors. In a random orthonormal basis their coordinate j has the variance 1/(j + 1). Each row is
the sum of 0.6 times one of 2,000 topics and 0.8 times a random vector. Half of the queries are drawn like rows. The
others are rows plus 0.1 to 0.6 times a random vector. "cone" adds a common component (mean cosine 0.68). "dense" has
200 centres, and adds 0.05 times a random vector.

Times are medians and minima in milliseconds. On a busy machine long queries are interrupted and short ones are not,
so only minima are comparable. For hot times the queries run back to back. For cold times 256 MB are read before each
query. NumPy is measured before and after the search.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import faiss
import hnswlib
import matplotlib
import numpy as np
from mneme._index import NumpyIndex
from usearch.index import MetricKind, search as usearch_search

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

THRESHOLD, K, QUERIES = 0.85, 3, 200
HOT, COLD = 15, 9
HERE = Path(__file__).parent
CASES = {
    "384x100k": ("topics", 384, 100_000),
    "768x100k": ("topics", 768, 100_000),
    "1536x100k": ("topics", 1536, 100_000),
    "384x1M": ("topics", 384, 1_000_000),
    "cone-768x100k": ("cone", 768, 100_000),
    "dense-768x100k": ("dense", 768, 100_000),
}
# Building each graph takes minutes. HNSW=none skips them, and HNSW="384x100k" builds only that one.
HNSW = os.environ.get("HNSW", "384x100k 768x100k 1536x100k").split()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def generate(shape, dim, count):
    random = np.random.default_rng(7)
    deviations = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    basis, _ = np.linalg.qr(random.standard_normal((dim, dim)).astype(np.float32))

    def draw(rows):
        return unit(random.standard_normal((rows, dim), dtype=np.float32) * deviations)

    topics = draw(200 if shape == "dense" else 2000)
    shares = (1.0, 0.05) if shape == "dense" else (0.6, 0.8)

    def rows_of(rows):
        return unit(shares[0] * topics[random.integers(0, len(topics), rows)] + shares[1] * draw(rows))

    def finish(rows):
        if shape == "cone":
            rows = rows * np.sqrt(0.32, dtype=np.float32)
            rows[:, dim // 2] += np.sqrt(0.68)
        return unit(rows @ basis).astype(np.float32)

    plain = np.concatenate([rows_of(min(20_000, count - first)) for first in range(0, count, 20_000)])
    known = plain[random.integers(0, count, QUERIES // 2)]
    near = unit(known + random.uniform(0.1, 0.6, (len(known), 1)).astype(np.float32) * draw(len(known)))
    queries = np.concatenate([near, rows_of(QUERIES - len(near))])[random.permutation(QUERIES)]
    rows = np.empty_like(plain)
    for first in range(0, count, 20_000):
        rows[first : first + 20_000] = finish(plain[first : first + 20_000])
    return rows, finish(queries)


FLUSH = np.ones(256 << 17, dtype=np.uint16)


def measure(answer, queries, hot=HOT, cold=COLD):
    answer(queries[0])
    times = {"hot": [], "cold": []}
    for at in range(hot):
        start = time.perf_counter()
        answer(queries[at])
        times["hot"].append((time.perf_counter() - start) * 1e3)
    for at in range(cold):
        FLUSH.max()
        start = time.perf_counter()
        answer(queries[at])
        times["cold"].append((time.perf_counter() - start) * 1e3)
    return times


def medians(*measured):
    all_times = {kind: sum((one[kind] for one in measured), []) for kind in ("hot", "cold")}
    found = {kind: statistics.median(times) for kind, times in all_times.items()}
    return {**found, **{f"{kind}_min": min(times) for kind, times in all_times.items()}}


def top(scores):
    best = np.argpartition(scores, -K)[-K:]
    return best[np.argsort(-scores[best])]


def hnsw(rows, queries, exact):
    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=16, ef_construction=200)
    index.add_items(rows, num_threads=os.cpu_count())
    index.set_num_threads(1)
    for width in (10, 20, 40, 80, 160, 320, 640, 1280, 2560):
        index.set_ef(width)
        found, _ = index.knn_query(queries, k=K)
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact)])
        if recall >= 0.99:
            break
    times = medians(measure(lambda query: index.knn_query(query, k=K), queries, hot=100, cold=20))
    return {**times, "ef": width, "recall": round(float(recall), 4)}


def example(binary, work, dim, *more):
    command = [binary, "--vectors", work / "rows.f32", "--queries", work / "queries.f32", "--dim", str(dim), *more]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def case(name, binary, work):
    shape, dim, count = CASES[name]
    rows, queries = generate(shape, dim, count)
    rows.tofile(work / "rows.f32")
    queries.tofile(work / "queries.f32")
    few = 5 if count > 500_000 else HOT
    systems = {}

    def matrix(query):
        return rows @ query

    before = measure(matrix, queries, hot=few)
    ours = example(binary, work, dim)
    slower = [example(binary, work, dim, "--kernel", "avx2")] if ours["kernel"] == "avx512" else []
    after = measure(matrix, queries, hot=few)
    systems["NumPy float32"] = medians(before, after)
    if count <= 500_000 and shape == "topics":
        flat = faiss.IndexFlatIP(dim)
        faiss.omp_set_num_threads(1)
        flat.add(rows)
        systems["faiss IndexFlatIP"] = medians(measure(lambda query: flat.search(query[None], K), queries))
        del flat
        small = (rows * 127).round().astype(np.int8)
        for kind, data in (("float32", rows), ("int8", small)):
            ask = queries if kind == "float32" else (queries * 127).round().astype(np.int8)
            systems[f"usearch exact {kind}"] = medians(
                measure(
                    lambda query: usearch_search(data, query, K, metric=MetricKind.IP, exact=True, threads=1), ask
                )
            )
        del small
        for kind in ("float32", "float16", "int8"):
            index = NumpyIndex(dim, dtype=kind, initial_capacity=count)
            index.rebuild_from((at, row, "n") for at, row in enumerate(rows))
            systems[f"NumpyIndex {kind}"] = medians(
                measure(lambda query: index.search(query, "n", k=K), queries, hot=7, cold=5)
            )
            del index
        if name in HNSW:
            exact = [top(rows @ query) for query in queries]
            systems["hnswlib, recall@3 >= 0.99"] = hnsw(rows, queries, exact)
    (work / "rows.f32").unlink()
    return {"example": ours, "avx2": slower[0] if slower else None, "systems": systems}


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def tables(figures):
    lines = [f"{figures['machine']}, {figures['date']}; load average before the run {figures['load']}.", ""]
    lines += ["| case | hot ms | cold ms | NumPy ÷ hot | NumPy ÷ cold | of minima: hot | cold | brute force ÷ hot | misses: brute force ÷ hot |"
              " AVX2 ÷ AVX-512, hot | bytes a row | candidates | mismatches |", "| --- " * 13 + "|"]
    for name, one in figures["cases"].items():
        ours, numpy = one["example"], one["systems"]["NumPy float32"]
        hot, cold, brute = ours["search_ms"]["hot"], ours["search_ms"]["cold"], ours["brute_force_ms"]["hot"]
        miss = f"{brute['miss_median'] / hot['miss_median']:.0f}" if hot["miss_median"] else "no miss"
        wide = f"{one['avx2']['search_ms']['hot']['median'] / hot['median']:.2f}" if one["avx2"] else ""
        lines.append(
            f"| {name} | {hot['median']:.3f} | {cold['median']:.3f} | {numpy['hot'] / hot['median']:.0f} |"
            f" {numpy['cold'] / cold['median']:.0f} | {numpy['hot_min'] / hot['min']:.0f} |"
            f" {numpy['cold_min'] / cold['min']:.0f} | {brute['median'] / hot['median']:.0f} | {miss} | {wide} |"
            f" {ours['bytes_per_row']:.0f} | {ours['candidates_median']} | {ours['mismatches']} of {ours['queries']} |"
        )
    lines += ["", "Milliseconds a query, hot / cold:", ""]
    wide = {name: one for name, one in figures["cases"].items() if len(one["systems"]) > 1}
    lines += ["| system | " + " | ".join(wide) + " |", "| --- " * (len(wide) + 1) + "|"]
    systems = dict.fromkeys(system for one in wide.values() for system in one["systems"])
    for system in systems:
        found = [one["systems"].get(system) for one in wide.values()]
        lines.append(f"| {system} | " + " | ".join(f"{x['hot']:.2f} / {x['cold']:.2f}" if x else "" for x in found) + " |")
    ours = [one["example"]["search_ms"] for one in wide.values()]
    lines.append("| **mneme-lambda** | " + " | ".join(
        f"**{x['hot']['median']:.2f} / {x['cold']['median']:.2f}**" for x in ours) + " |")
    return "\n".join(lines)


def plot(figures):
    cases = {name: one for name, one in figures["cases"].items() if len(one["systems"]) > 1}
    systems = list(dict.fromkeys(system for one in cases.values() for system in one["systems"]))
    figure, axes = plt.subplots(1, max(len(cases), 1), figsize=(5 * max(len(cases), 1), 4), squeeze=False)
    for axis, (name, one) in zip(axes[0], cases.items()):
        named = [("mneme-lambda", {kind: one["example"]["search_ms"][kind]["median"] for kind in ("hot", "cold")})]
        named += [(system, one["systems"][system]) for system in systems if system in one["systems"]]
        at = np.arange(len(named))
        for shift, kind in ((-0.2, "hot"), (0.2, "cold")):
            axis.barh(at + shift, [times[kind] for _, times in named], 0.4, label=kind)
        axis.set_yticks(at, [system for system, _ in named])
        axis.set_xscale("log")
        axis.set_xlabel("milliseconds a query")
        axis.set_title(name)
        axis.invert_yaxis()
        axis.legend()
    figure.tight_layout()
    figure.savefig(HERE / "plot.svg", metadata={"Date": None})


def write(figures):
    (HERE / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    plot(figures)
    page = Path("PERFORMANCE.md")
    before, rest = page.read_text().split("<!-- figures -->")
    _, after = rest.split("<!-- /figures -->")
    page.write_text(f"{before}<!-- figures -->\n{tables(figures)}\n<!-- /figures -->{after}")


def main():
    binary, work, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or list(CASES)
    if "--help" in names or set(names) - set(CASES):
        sys.exit(f"{__doc__}\nCases: {', '.join(CASES)}")
    figures = {
        "machine": f"{processor()}, {os.cpu_count()} processors",
        "date": time.strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 1),
        "cases": {},
    }
    for name in names:
        figures["cases"][name] = case(name, binary, work)
        print(name, json.dumps(figures["cases"][name]), flush=True)
        write(figures)


if __name__ == "__main__":
    main()
