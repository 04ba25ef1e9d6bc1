"""Builds the model as an ONNX graph for onnxruntime, from the float32 weights.

The graph turns one text without padding into its vector. `plain` uses the operators of ONNX, as an exported model does.
`fused` uses the operators of onnxruntime into which its transformer optimiser rewrites such a graph.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEADS = 12
LAYERS = 6
WIDTH = 384
EPSILON = 1e-12


class Graph:
    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.constants = {}

    def constant(self, name, values):
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def weight(self, name, transposed=False):
        values = self.weights[name]
        return self.constant(name, values.T if transposed else values)

    def op(self, kind, *inputs, domain="", **attributes):
        out = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out

    def linear(self, x, name):
        product = self.op("MatMul", x, self.weight(f"{name}.weight", transposed=True))
        return self.op("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x, name):
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def embeddings(self):
        words = self.op("Gather", self.weight("embeddings.word_embeddings.weight"), "ids")
        kinds = self.weights["embeddings.token_type_embeddings.weight"][0]
        places = self.constant("places", self.weights["embeddings.position_embeddings.weight"] + kinds)
        length = self.op("Shape", "ids", start=1, end=2)
        zero, axis = self.constant("zero", np.array([0])), self.constant("axis", np.array([0]))
        places = self.op("Slice", places, zero, length, axis)
        return self.norm(self.op("Add", words, places), "embeddings.LayerNorm")

    def plain_layer(self, x, at):
        split = self.constant("split", np.array([0, 0, HEADS, WIDTH // HEADS]))
        heads = lambda name, order: self.op(
            "Transpose", self.op("Reshape", self.linear(x, f"{at}.attention.self.{name}"), split), perm=order
        )
        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scale = self.constant("scale", np.float32((WIDTH // HEADS) ** 0.5))
        scores = self.op("Softmax", self.op("Div", self.op("MatMul", query, key), scale), axis=-1)
        seen = self.op("Transpose", self.op("MatMul", scores, value), perm=[0, 2, 1, 3])
        seen = self.op("Reshape", seen, self.constant("join", np.array([0, 0, WIDTH])))
        seen = self.linear(seen, f"{at}.attention.output.dense")
        x = self.norm(self.op("Add", seen, x), f"{at}.attention.output.LayerNorm")
        inner = self.linear(x, f"{at}.intermediate.dense")
        erf = self.op("Erf", self.op("Div", inner, self.constant("root", np.float32(2**0.5))))
        half = self.op("Mul", inner, self.op("Add", erf, self.constant("one", np.float32(1))))
        inner = self.op("Mul", half, self.constant("half", np.float32(0.5)))
        return self.norm(self.op("Add", self.linear(inner, f"{at}.output.dense"), x), f"{at}.output.LayerNorm")

    def fused_layer(self, x, at):
        own = lambda kind, *inputs, **attributes: self.op(kind, *inputs, domain="com.microsoft", **attributes)
        parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self.weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        weight, bias = self.constant(f"{at}.weight", weight), self.constant(f"{at}.bias", bias)
        seen = own("Attention", x, weight, bias, num_heads=HEADS)

        def skip(inner, name, norm):
            inner = self.op("MatMul", inner, self.weight(f"{name}.weight", transposed=True))
            norms = self.weight(f"{norm}.weight"), self.weight(f"{norm}.bias")
            return own("SkipLayerNormalization", inner, x, *norms, self.weight(f"{name}.bias"), epsilon=EPSILON)

        x = skip(seen, f"{at}.attention.output.dense", f"{at}.attention.output.LayerNorm")
        inner = self.op("MatMul", x, self.weight(f"{at}.intermediate.dense.weight", transposed=True))
        inner = own("BiasGelu", inner, self.weight(f"{at}.intermediate.dense.bias"))
        return skip(inner, f"{at}.output.dense", f"{at}.output.LayerNorm")


def build(weights, path, fused):
    """Writes the graph `ids` [1, length] int64 -> `vector` [1, 384] float32, of unit length."""
    graph = Graph(weights)
    x = graph.embeddings()
    for layer in range(LAYERS):
        x = (graph.fused_layer if fused else graph.plain_layer)(x, f"encoder.layer.{layer}")
    mean = graph.op("ReduceMean", x, axes=[1], keepdims=0)
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["vector"], axis=-1, p=2))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "length"])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, WIDTH])
    graph = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", [ids], [vector], list(graph.constants.values()))
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=9), path)
