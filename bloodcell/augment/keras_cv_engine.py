"""keras-cv as a second engine: a policy carried out by the layers that the forerunner used.

The only module that imports keras-cv. It has layers for two thirds of the catalogue; a policy
with a step that it lacks is refused and never carried out in part. The layers mean by their
parameters what keras-cv means: `DIFFERENCES` says where that is something else than here.

keras-cv draws its random numbers from global state, which nothing can set back for one batch.
So its layers are traced once into a graph with the functions of ``tf.random`` exchanged for those
of one generator, whose state is an argument of the graph, and with loops that take one turn after
the other: a batch is then a function of that state alone. What was traced is searched for any
random operation that is left.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from bloodcell.augment.apply import Augment
from bloodcell.augment.catalogue import CATALOGUE
from bloodcell.augment.declaration import Parameters
from bloodcell.augment.policy import Policy, Step
from bloodcell.errors import BadInput
from bloodcell.quiet import quiet_stderr

__all__ = [
    "DIFFERENCES",
    "describe_engine",
    "keras_cv_augmenter",
    "keras_cv_layers",
    "missing_layers",
    "missing_steps",
    "refuse_missing",
]

_RANGE = (0, 255)
Layers = Mapping[str, Callable[[Parameters], list]]

# What is carried out otherwise than by our own engine at the same parameters, for a person.
DIFFERENCES: dict[str, str] = {
    "zoom": "the range is that of the view, not of the scale",
    "resize": "every image is shrunk alike, by half of the most, and without averaging",
    "hue": "the hue of HSV is turned, and luma with it",
    "saturation": "the S of HSV is scaled, and luma changes with it",
    "gaussian_noise": "Keras' own, since keras-cv has none",
    "defocus": "a Gaussian blur in place of a disc",
    "random_erasing": "a black rectangle, both sides drawn",
    "randaugment": "ten operations, and solarise darkens the bright field",
    "augmix": "eight operations, and solarise at a low severity inverts the picture",
    "cutmix": "the label also counts what lies outside the image",
}

# Parameters that no layer has, by augmentation: whether they are asked for, and how that is said.
_LIMITS: dict[str, tuple[Callable[[Parameters], bool], str]] = {
    "zoom": (lambda p: p["amount"] + p["shrink"] > 1, "with amount and shrink above 1 in all"),
    "resize": (lambda p: p["blocks"] > 0, "with pixels left as blocks"),
}
_LACKING = (
    *("quarter_turn", "tint", "gain_gamma", "stain", "stain_transfer", "sharpening"),
    "small_platelets",
)


def missing_layers() -> list[str]:
    """Titles of the augmentations that keras-cv has no layer for."""
    return [CATALOGUE[key].title for key in _LACKING]


def describe_engine(key: str) -> str:
    """What keras-cv has of an augmentation, in a few words for a person."""
    if key in _LACKING:
        return "no layer"
    return DIFFERENCES.get(key, "the same")


def _settings(step: Step) -> Parameters:
    return CATALOGUE[step.key].defaults() | step.parameters


def _does_nothing(step: Step) -> bool:
    return step.probability == 0 or CATALOGUE[step.key].scaled(step.parameters, 0) == _settings(
        step
    )


def missing_steps(policy: Policy) -> list[str]:
    """ "step 2, Quarter turns" for each step that keras-cv cannot carry out; needs no import."""
    found = []
    for i, step in enumerate(policy.steps, 1):
        if _does_nothing(step):
            continue
        title = CATALOGUE[step.key].title
        asked, words = _LIMITS.get(step.key, (lambda p: False, ""))
        if step.key in _LACKING:
            found.append(f"step {i}, {title}")
        elif asked(_settings(step)):
            found.append(f"step {i}, {title} {words}")
    return found


def refuse_missing(policy: Policy) -> None:
    """Raise BadInput, naming them, if keras-cv cannot carry out all steps of a policy."""
    if missing := missing_steps(policy):
        raise BadInput(
            f"The policy {policy.name} has what keras-cv has no layer for ({'; '.join(missing)}): "
            "remove that, choose another policy, e.g. bloodcellcnn, or use our own engine."
        )


def _import_keras_cv() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with quiet_stderr():
            import keras_cv
    except ImportError as error:
        raise BadInput(
            f"keras-cv cannot be used here ({error}): install it with `pip install keras-cv`, or "
            "use our own engine."
        ) from error
    return keras_cv


def keras_cv_layers(height: int, width: int) -> Layers:
    """What keras-cv 0.9 has for each augmentation, at the same parameters.

    Returns:
        Of parameters, the layers to apply one after the other to float32 images of 0–255,
        B×height×width×3, or, where labels are mixed, to ``{"images": …, "labels": …}``.
    """
    cv = _import_keras_cv().layers
    return {
        "flip": lambda p: [cv.RandomFlip(mode) for mode in ("horizontal", "vertical") if p[mode]],
        "rotation": lambda p: [cv.RandomRotation(p["angle"] / 360)],
        "zoom": lambda p: [cv.RandomZoom((-p["amount"], p["amount"] + p["shrink"]))],
        "translation": lambda p: [cv.RandomTranslation(p["amount"], p["amount"])],
        "crop": lambda p: [
            cv.RandomCropAndResize(
                (height, width),
                crop_area_factor=((1 - p["amount"]) ** 2, 1.0),
                aspect_ratio_factor=(1.0, 1.0),
            )
        ],
        # it knows one size for all images: the middle of what ours draws for each
        "resize": lambda p: [
            cv.Resizing(*(max(1, round(n * (1 - p["amount"] / 2))) for n in (height, width))),
            cv.Resizing(height, width),
        ],
        "brightness": lambda p: [cv.RandomBrightness(p["amount"], _RANGE)],
        "contrast": lambda p: [cv.RandomContrast(_RANGE, p["amount"])],
        "hue": lambda p: [cv.RandomHue(p["angle"] / 180, _RANGE)],
        "saturation": lambda p: [
            cv.RandomSaturation((0.5 - p["amount"] / 4, 0.5 + (p["amount"] + p["boost"]) / 4))
        ],
        "random_color_degeneration": lambda p: [cv.RandomColorDegeneration((0.0, p["amount"]))],
        "channel_shuffle": lambda p: [partial(_blended, cv.ChannelShuffle(), p["amount"])],
        "gaussian_noise": lambda p: [partial(_noise, p["sigma"])],
        "defocus": lambda p: [
            cv.RandomGaussianBlur(
                2 * int(np.ceil(p["radius"] * width)) + 1, (0.0, p["radius"] * width)
            )
        ],
        "jpeg": lambda p: [partial(_of_one, cv.RandomJpegQuality((100 - p["loss"], 100)))],
        "random_erasing": lambda p: [cv.RandomCutout(p["area"] ** 0.5, p["area"] ** 0.5)],
        "randaugment": lambda p: [
            cv.RandAugment(_RANGE, p["operations"], magnitude=p["magnitude"])
        ],
        # it takes no severity below 0.01
        "augmix": lambda p: [cv.AugMix(_RANGE, max(0.01, p["severity"]))],
        "cutmix": lambda p: [cv.CutMix(p["alpha"])],
        "mixup": lambda p: [cv.MixUp(p["alpha"])],
    }


def _blended(layer: Callable, amount: float, images: Any, training: bool) -> Any:
    return (1 - amount) * images + amount * layer(images, training=training)


def _of_one(layer: Callable, images: Any, training: bool) -> Any:
    # without a word, it takes every float for one of 0–1
    return 255 * layer(images / 255, training=training)


def _noise(sigma: float, images: Any, training: bool) -> Any:
    import tensorflow as tf

    # what keras.layers.GaussianNoise does, but that takes no deviation above 1
    return images + tf.random.normal(tf.shape(images), 0.0, sigma)


def keras_cv_augmenter(policy: Policy) -> Augment:
    """keras-cv's counterpart of `bloodcell.augment.apply.apply` for one policy.

    A size of images is traced when it first comes, which takes up to 20 seconds where AugMix and
    RandAugment are in the policy. Several threads may then use it at once. The same state of the
    generator gives the same result on the same machine.

    Returns:
        A function of images (uint8, B×H×W×3), labels (float32, B×K) and a generator, which is
        advanced; it returns new images and labels of the same shapes and dtypes.

    Raises:
        BadInput: there is no layer for a step, or keras-cv is not installed.
    """
    refuse_missing(policy)
    _import_keras_cv()
    traced: dict[tuple[int, ...], Callable] = {}

    def augment(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator):
        import tensorflow as tf

        drawn = rng.integers(-(2**63), 2**63, _STATE, np.int64)
        if not len(images):
            return images.copy(), labels.copy()
        state, shape = tf.Variable(drawn), (*images.shape[1:], labels.shape[1])
        with _TRACED_ALONE:
            if shape not in traced:
                traced[shape] = _traced(policy, shape, state)
        made, mixed = traced[shape](tf.constant(images), tf.constant(labels), state)
        return made.numpy(), mixed.numpy()

    return augment


# of the Philox generator: two numbers of the counter and the key
_STATE = 3
_TRACED_ALONE = threading.Lock()
# operations that keep a state of their own, by the beginning of their names
_LEFT_TO_CHANCE = (
    *("Random", "Multinomial", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("StatefulUniform", "StatefulStandardNormal", "StatefulTruncatedNormal", "StatefulRandom"),
)


def _traced(policy: Policy, shape: tuple[int, ...], state: Any) -> Callable:
    """The policy as a graph of (images, labels, state of a generator)."""
    import tensorflow as tf

    height, width, channels, classes = shape
    # Outside the graph: tracing prints the whole environment where it meets `os.environ`.
    library = keras_cv_layers(height, width)

    def augment(pixels: Any, labels: Any, state: Any) -> tuple[Any, Any]:
        generator = tf.random.Generator.from_state(state, alg="philox")
        images = tf.cast(pixels, tf.float32)
        with _drawing_from(generator):
            for step in policy.steps:
                if not _does_nothing(step):
                    # a layer takes its generator when it is made
                    layers = library[step.key](_settings(step))
                    images, labels = _stage(step, layers, images, labels, generator)
        # a cast alone would round down
        return tf.cast(tf.round(images), tf.uint8), labels

    graph = tf.function(augment).get_concrete_function(
        tf.TensorSpec([None, height, width, channels], tf.uint8),
        tf.TensorSpec([None, classes], tf.float32),
        state,
    )
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    left = {n.op for n in nodes if n.op.startswith(_LEFT_TO_CHANCE)}
    if left:
        raise BadInput(
            f"keras-cv {_import_keras_cv().__version__} draws random numbers that cannot be "
            f"repeated ({', '.join(sorted(left))}): install keras-cv 0.9.0, or use our own engine."
        )
    return graph


def _stage(step: Step, layers: list, images: Any, labels: Any, generator: Any) -> tuple[Any, Any]:
    """One step, in that share of the images that its probability asks for."""
    import tensorflow as tf

    for layer in layers:
        if getattr(layer, "auto_vectorize", False):
            layer.auto_vectorize = False
    chosen = generator.uniform([tf.shape(images)[0]]) < step.probability
    if CATALOGUE[step.key].mixes_labels:
        # partners come from the whole batch
        mixed = {"images": images, "labels": labels}
        for layer in layers:
            mixed = layer(mixed, training=True)
        # Beta of a small alpha underflows to 0/0
        chosen &= tf.reduce_all(tf.math.is_finite(mixed["labels"]), 1)
        made, labels = mixed["images"], tf.where(chosen[:, None], mixed["labels"], labels)
        images = tf.where(chosen[:, None, None, None], made, images)
    else:
        some = tf.boolean_mask(images, chosen)
        some.set_shape((None, *images.shape[1:]))
        for layer in layers:
            some = layer(some, training=True)
        images = tf.tensor_scatter_nd_update(images, tf.where(chosen), some)
    # AugMix stops with an error at values above 255, which other layers leave
    return tf.clip_by_value(images, *_RANGE), labels


@contextmanager
def _drawing_from(generator: Any) -> Iterator[None]:
    """While this thread traces keras-cv's layers, ``tf.random`` draws from `generator`.

    Loops take one turn after the other, since turns draw from the generator too.
    """
    import tensorflow as tf

    def uniform(shape, minval=0, maxval=None, dtype=tf.float32, seed=None, name=None):
        return generator.uniform(shape, minval, 1 if maxval is None else maxval, dtype)

    def normal(shape, mean=0.0, stddev=1.0, dtype=tf.float32, seed=None, name=None):
        return generator.normal(shape, mean, stddev, dtype)

    def gamma(shape, alpha, beta=None, dtype=tf.float32, seed=None, name=None):
        alpha = tf.convert_to_tensor(alpha, dtype)
        whole = tf.concat([tf.convert_to_tensor(shape, tf.int32), tf.shape(alpha)], 0)
        seeds = generator.make_seeds(1)[:, 0]
        return tf.random.stateless_gamma(whole, seeds, alpha, beta, dtype)

    def shuffle(value, seed=None, name=None):
        return tf.gather(value, tf.argsort(generator.uniform([tf.shape(value)[0]])))

    replacements = {
        "uniform": uniform,
        "normal": normal,
        "gamma": gamma,
        "shuffle": shuffle,
        "get_global_generator": lambda: generator,
    }
    with ExitStack() as undo:
        for name, function in replacements.items():
            _replace(undo, tf.random, name, function)
        for name in ("map_fn", "while_loop"):
            _replace(undo, tf, name, partial(getattr(tf, name), parallel_iterations=1))
        yield


def _replace(undo: ExitStack, module: Any, name: str, function: Callable) -> None:
    original, thread = getattr(module, name), threading.get_ident()

    def replaced(*arguments: Any, **named: Any) -> Any:
        used = function if threading.get_ident() == thread else original
        return used(*arguments, **named)

    undo.callback(setattr, module, name, original)
    setattr(module, name, replaced)
