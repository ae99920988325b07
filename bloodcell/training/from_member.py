"""Start a training from a member of an ensemble, of which only the LiteRT file is left.

At export every batch normalisation is folded into the layer before it, so what can be read back is
a kernel and a bias. The folding is undone: the mean and variance that each normalisation meets on
images of the new training become its moving statistics, and its scale and shift are chosen so that
together they give what the file gave. So the network answers as the member did (but for the
float16 of its weights), and can be trained like any other.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bloodcell.errors import BadInput
from bloodcell.models.classifier import body_of, with_outputs

__all__ = ["MOST_IMAGES", "start_from_member"]

MOST_IMAGES = 512
BATCH = 32
# Name, kernel and bias.
Layer = tuple[str, np.ndarray, np.ndarray]
# Kernels: output×height×width×input, 1×height×width×channels, and output×input.
# The class maps: a second copy of the head, and what earlier versions called it.
MAPS = ("/positions", "/places")
ORDER = {"CONV_2D": (1, 2, 3, 0), "DEPTHWISE_CONV_2D": (1, 2, 3, 0), "FULLY_CONNECTED": (1, 0)}


def start_from_member(model: Any, contents: Sequence[bytes], name: str, images: np.ndarray) -> None:
    """Give a classifier the weights of a member, or the mean of several of one backbone.

    Weights half-way between those before and after a fine-tuning hold better on cells of neither
    (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

    Args:
        model: of :func:`bloodcell.models.classifier.build_classifier`; only what lies before its
            pooling depends on no size.
        contents: of members' ``.tflite`` files, exported by this project; float32, float16 or
            int8 weights.
        name: what to call it in an error.
        images: uint8, n×S×S×3, RGB: of the new training, some hundred.

    Raises:
        BadInput: the file is of another backbone.
    """
    import keras

    found = _mean([list(_layers(content)) for content in contents], name, model)
    backbone = model.get_layer("backbone")
    body = body_of(backbone)
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    convolutions = [layer for layer in body.layers if isinstance(layer, kinds)]
    norms = {}
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            norms[layer.input.name] = layer
    left = [entry for entry in found if entry[0] != "head"]
    head = next((entry for entry in found if entry[0] == "head"), None)
    if head is None or len(left) != len(convolutions):
        raise _other(name, model)
    shifted: list[tuple[Any, np.ndarray]] = []
    for layer, (_, kernel, bias) in zip(convolutions, _matched(convolutions, left), strict=True):
        norm = norms.get(layer.output.name)
        if kernel.shape != tuple(layer.kernel.shape):
            raise _other(name, model)
        layer.kernel.assign(kernel)
        if norm is None:
            layer.bias.assign(bias)
            continue
        if layer.use_bias:
            layer.bias.assign(np.zeros_like(bias))
        shifted.append((norm, bias))
    normalise, dense = model.get_layer("normalise"), model.get_layer("logits")
    if head[1].shape != tuple(dense.kernel.shape):
        raise _other(name, model)
    dense.kernel.assign(head[1])
    dense.bias.assign(head[2])
    shifted.append((normalise, np.zeros(normalise.gamma.shape[0], np.float32)))
    _unfold(model, shifted, images)


def _unfold(model: Any, shifted: list[tuple[Any, np.ndarray]], images: np.ndarray):
    """Set each normalisation so that it adds its bias in inference, and hardly more in training."""
    import keras

    for norm, bias in shifted:
        ones = np.ones(bias.shape, np.float32)
        norm.set_weights([ones, bias, 0 * ones, ones - norm.epsilon])
    taps = with_outputs(model.get_layer("backbone"), [norm.input for norm, _ in shifted[:-1]])
    features = keras.Model(model.input, model.get_layer("features").output)
    count = 0
    sums = [np.zeros((2, len(bias))) for _, bias in shifted]
    for begin in range(0, len(images), BATCH):
        batch = images[begin : begin + BATCH].astype(np.float32)
        seen = [*taps(batch, training=False), features(batch, training=False)]
        for i, each in enumerate(seen):
            flat = each.numpy().reshape(-1, each.shape[-1]).astype(np.float64)
            sums[i] += len(batch) * np.array([flat.mean(0), (flat**2).mean(0)])
        count += len(batch)
    for (norm, bias), total in zip(shifted, sums, strict=True):
        mean, square = total / count
        variance = np.maximum(square - mean**2, 0)
        norm.set_weights([np.sqrt(variance + norm.epsilon), bias + mean, mean, variance])


def _mean(members: list[list[Layer]], name: str, model: Any) -> list[Layer]:
    """Layer by layer; all were exported alike, so they stand in one order."""
    found = members[0]
    for other in members[1:]:
        if [entry[1].shape for entry in other] != [entry[1].shape for entry in found]:
            raise _other(name, model)
    return [
        (entries[0][0], *(np.mean([e[k] for e in entries], axis=0) for k in (1, 2)))
        for entries in zip(*members, strict=True)
    ]


def _matched(convolutions: list[Any], found: list[Layer]) -> list[Layer]:
    """What was read, in the order of the layers: by the names that the file kept of them.

    A network without branches whose layers have no names of their own is in order already.
    """
    names = {layer.name for layer in convolutions}
    by_name = {}
    for entry in found:
        parts = entry[0].replace(";", "/").split("/")
        own = {p.removesuffix("_1") for p in parts} & names
        if len(own) == 1:
            by_name[own.pop()] = entry
    if len(by_name) < len(names):
        return found
    return [by_name[layer.name] for layer in convolutions]


def _layers(content: bytes) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, kernel (as Keras has it) and bias of each layer of a LiteRT file with weights.

    The layer of the head is called ``head``; the one of the class maps, which has the same weights,
    is left out.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    file = schema.Model.GetRootAsModel(content, 0)
    graph = file.Subgraphs(0)
    codes = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    whole = {}
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = file.OperatorCodes(op.OpcodeIndex())
        kind = codes[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "DEQUANTIZE":
            whole[op.Outputs(0)] = op.Inputs(0)
        if kind not in ORDER:
            continue
        inputs = [whole.get(op.Inputs(k), op.Inputs(k)) for k in (1, 2)]
        kernel, bias = (_values(schema, file, graph.Tensors(t)) for t in inputs)
        tensors = [*(graph.Tensors(t) for t in inputs), graph.Tensors(op.Outputs(0))]
        names = ";".join(t.Name().decode() for t in tensors)
        if kind == "FULLY_CONNECTED":
            yield "head", kernel.transpose(ORDER[kind]), bias
        elif not any(word in names for word in MAPS):
            yield names, kernel.transpose(ORDER[kind]), bias


def _values(schema: Any, file: Any, tensor: Any) -> np.ndarray:
    """float32: the numbers of a constant."""
    kinds = {
        schema.TensorType.FLOAT32: np.float32,
        schema.TensorType.FLOAT16: np.float16,
        schema.TensorType.INT8: np.int8,
        schema.TensorType.INT32: np.int32,
    }
    raw = file.Buffers(tensor.Buffer()).DataAsNumpy()
    values = raw.view(kinds[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
    found = tensor.Quantization()
    if values.dtype not in (np.int8, np.int32) or not found or not found.ScaleLength():
        return values.astype(np.float32)
    shape = np.ones(values.ndim, int)
    if found.ScaleLength() > 1:
        shape[found.QuantizedDimension()] = found.ScaleLength()
    scale, zero = found.ScaleAsNumpy().reshape(shape), found.ZeroPointAsNumpy().reshape(shape)
    return ((values.astype(np.float32) - zero) * scale).astype(np.float32)


def _other(name: str, model: Any) -> BadInput:
    return BadInput(
        f"{name} does not hold the weights of a {model.name}: start from a member of the same "
        "backbone that this program exported."
    )
