"""all-MiniLM-L6-v2 as graphs of ONNX, built from its published tensors.

Two graphs share the words of the model: the embedder, and the verifier that reads two texts as one
input. Both take one text, or one pair, a call: without padding there is no mask, and the int8
scales, which span a whole batch, do not depend on what else is in it.
"""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    Array = np.ndarray[Any, Any]

WIDTH: Final = 384
HEADS: Final = 12
_EPSILON: Final = 1e-12
_OPSET: Final = 17
_IR: Final = 8  # the first that carries opset 17: older runtimes read it too
_TYPES: Final = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
WORDS, _POSITIONS, _KINDS = (
    f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")
)


def read_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a safetensors file by their names.

    Raises OSError where it cannot be read and ValueError where it is no such file, or cut.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError(f"{path.name} is cut")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        found[name] = np.frombuffer(data[begin:end], _TYPES[about["dtype"]]).reshape(about["shape"])
    return found


class _Graph:
    """Collects nodes and constants; each method adds one step and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.unquantised: list[str] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def linear(self, x: str, weight: Array, bias: Array, *, quantised: bool = True) -> str:
        product = self.node("MatMul", x, self.constant(np.ascontiguousarray(weight.T)))
        if not quantised:
            self.unquantised.append(product)
        return self.node("Add", product, self.constant(bias))

    def norm(self, x: str, weight: Array, bias: Array) -> str:
        return self.node(
            "LayerNormalization", x, self.constant(weight), self.constant(bias),
            axis=-1, epsilon=_EPSILON,
        )  # fmt: skip

    def gelu(self, x: str) -> str:
        root = self.node("Div", x, self.constant(np.float32(np.sqrt(2))))
        grown = self.node("Add", self.node("Erf", root), self.constant(np.float32(1)))
        return self.node("Mul", self.node("Mul", x, grown), self.constant(np.float32(0.5)))

    def words(self, tensors: Mapping[str, Array], kinds: str | None) -> str:
        """Add up what each token, its position and, in a pair, its side contribute."""
        length = self.node("Slice", self.node("Shape", "input_ids"),
                           self.constant(np.array([1])), self.constant(np.array([2])))  # fmt: skip
        zero = self.constant(np.array([0]))
        table = self.constant(tensors[_POSITIONS])
        places = self.node("Slice", table, zero, length, zero)
        tokens = self.node("Gather", self.constant(tensors[WORDS]), "input_ids", axis=0)
        if kinds is None:
            sides = self.constant(np.ascontiguousarray(tensors[_KINDS][0]))
        else:
            sides = self.node("Gather", self.constant(tensors[_KINDS]), kinds, axis=0)
            self.unquantised.append(sides)
        total = self.node("Add", self.node("Add", tokens, places), sides)
        return self.norm(total, *_pair(tensors, "embeddings.LayerNorm"))

    def layer(self, x: str, tensors: Mapping[str, Array], number: int) -> str:
        """Add one layer: attention, then the two linear steps, each with what it was given."""
        at = f"encoder.layer.{number}."
        shape = self.constant(np.array([0, 0, HEADS, WIDTH // HEADS]))
        query, key, value = (
            self.node(
                "Reshape", self.linear(x, *_pair(tensors, f"{at}attention.self.{part}")), shape
            )
            for part in ("query", "key", "value")
        )
        scores = self.node(
            "MatMul",
            self.node("Transpose", query, perm=[0, 2, 1, 3]),
            self.node("Transpose", key, perm=[0, 2, 3, 1]),
        )
        scaled = self.node("Mul", scores, self.constant(np.float32((WIDTH / HEADS) ** -0.5)))
        seen = self.node(
            "MatMul",
            self.node("Softmax", scaled, axis=-1),
            self.node("Transpose", value, perm=[0, 2, 1, 3]),
        )
        joined = self.node(
            "Reshape",
            self.node("Transpose", seen, perm=[0, 2, 1, 3]),
            self.constant(np.array([0, 0, WIDTH])),
        )
        out = self.linear(joined, *_pair(tensors, f"{at}attention.output.dense"))
        x = self.norm(self.node("Add", x, out), *_pair(tensors, f"{at}attention.output.LayerNorm"))
        inner = self.gelu(self.linear(x, *_pair(tensors, f"{at}intermediate.dense")))
        out = self.linear(inner, *_pair(tensors, f"{at}output.dense"))
        return self.norm(self.node("Add", x, out), *_pair(tensors, f"{at}output.LayerNorm"))

    def finish(self, inputs: Iterable[str], output: str, width: int) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "minilm",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
                for name in inputs
            ],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
        model.ir_version = _IR
        onnx.checker.check_model(model)
        return model


def _pair(tensors: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def layers(tensors: Mapping[str, Array]) -> int:
    """Return how many layers tensors make up."""
    return sum(name.endswith("attention.output.dense.weight") for name in tensors)


def build_embedder(tensors: Mapping[str, Array], path: Path) -> None:
    """Write the embedder, in int8: `input_ids` [1, n] → `embedding` [1, 384] of length 1."""
    graph = _Graph()
    x = graph.words(tensors, None)
    for number in range(layers(tensors)):
        x = graph.layer(x, tensors, number)
    mean = graph.node("ReduceMean", x, axes=[1], keepdims=0)
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=-1, p=2))
    _write(graph, graph.finish(["input_ids"], "embedding", WIDTH), path)


def build_verifier(tensors: Mapping[str, Array], path: Path) -> None:
    """Write the verifier, in int8: `input_ids` and `sides` [1, n] → `logit` [1, 1].

    The tensors are the words of the model and all else of ours: its layers, and the head that sees
    the first token, and how the means of both sides differ and agree.
    """
    graph = _Graph()
    x = graph.words(tensors, "sides")
    for number in range(layers(tensors)):
        x = graph.layer(x, tensors, number)
    sides = graph.node("Unsqueeze", graph.node("Cast", "sides", to=TensorProto.FLOAT),
                       graph.constant(np.array([2])))  # fmt: skip
    others = graph.node("Sub", graph.constant(np.float32(1)), sides)
    left, right = (
        graph.node(
            "Div",
            graph.node("ReduceSum", graph.node("Mul", x, side), axis, keepdims=0),
            graph.node("ReduceSum", side, axis, keepdims=0),
        )
        for side, axis in ((others, graph.constant(np.array([1]))),
                           (sides, graph.constant(np.array([1]))))
    )  # fmt: skip
    first = graph.node("Gather", x, graph.constant(np.int64(0)), axis=1)
    graph.unquantised.append(first)
    seen = graph.node(
        "Concat", first, graph.node("Abs", graph.node("Sub", left, right)),
        graph.node("Mul", left, right), axis=-1,
    )  # fmt: skip
    inner = graph.gelu(graph.linear(seen, *_pair(tensors, "head.inner"), quantised=False))
    outer = graph.linear(inner, *_pair(tensors, "head.outer"), quantised=False)
    graph.nodes.append(helper.make_node("Identity", [outer], ["logit"]))
    _write(graph, graph.finish(["input_ids", "sides"], "logit", 1), path)


def _write(graph: _Graph, model: Any, path: Path) -> None:
    quantize_dynamic(
        model,
        path,
        op_types_to_quantize=["MatMul", "Gather"],
        nodes_to_exclude=graph.unquantised,
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
