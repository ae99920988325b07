"""How fast training is: ours against a plain Keras loop of the forerunner's kind, in one run.

    python -m benchmarks.train [--backbones mobilenetv2 …] [--policies gentle …] [--steps 12]

The plain loop is what a notebook does: the same backbone and head, the same batch size and
optimizer, keras-cv layers in ``tf.data`` with ``AUTOTUNE``, and ``Model.fit``. Both read the same
drawn cells and take turns, three rounds each, of which the fastest counts. Ratios are given by
the clock and by processor time, which other programs on the machine disturb less. "Input" is the
time of a step of ours with augmentation over that without: what the input costs in the end.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.augment import Speed, keras_cv_layers, stage
from bloodcell.augment import PRESETS, Policy
from bloodcell.data.pipeline import TrainingBatches
from bloodcell.data.store.dataset import Dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.models.classifier import BACKBONES, build_classifier, load_tensorflow
from bloodcell.models.kernels import use_fast_kernels
from bloodcell.training.config import make_config
from bloodcell.training.step import make_optimizer, make_step
from bloodcell.workspace import Workspace

__all__ = ["main"]

WARM_UP = 3
ROUNDS = 3
NOTHING = Policy("nothing", ())


def our_steps(dataset: Dataset, backbone: str, size: int, policy: Policy) -> Callable[[int], None]:
    """A function that trains so many steps with this product's own loop."""
    import tensorflow as tf

    config = make_config(
        "demo",
        "bloodcellcnn",
        backbone=backbone,
        input_size=size,
        precision=fastest_precision(backbone),
    )
    model = build_classifier(backbone, size, "none", config.dropout)
    optimizer = make_optimizer(config, model)
    use_fast_kernels(model)
    step = make_step(config, model, optimizer, [])
    ones = np.ones(len(dataset), np.float32)
    every = np.arange(len(dataset))
    batches = TrainingBatches(
        dataset, every, dataset.labels, ones, policy, config.batch_size, size, 0
    )
    stream = _endless(batches)

    def run(steps: int) -> None:
        for _ in range(steps):
            loss, _ = step(*next(stream), tf.constant(0.0))
            float(loss)

    return run


def _endless(batches: TrainingBatches) -> Iterator:
    epoch = 0
    while True:
        epoch += 1
        for batch in batches.epoch(epoch):
            if len(batch[0]) == batches.batch_size:
                yield batch


def plain_steps(
    dataset: Dataset, backbone: str, size: int, policy: Policy
) -> Callable[[int], None]:
    """A function that trains so many steps as a notebook would."""
    import keras
    import tensorflow as tf

    make = getattr(keras.applications, BACKBONES[backbone])
    scaling = {
        "mobilenetv2": keras.applications.mobilenet_v2.preprocess_input,
        "efficientnetb3": keras.applications.efficientnet.preprocess_input,
        "resnet50": keras.applications.resnet50.preprocess_input,
    }[backbone]
    inputs = keras.Input((size, size, 3))
    x = make(include_top=False, weights=None, input_shape=(size, size, 3))(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.3)(x)
    model = keras.Model(inputs, keras.layers.Dense(8, activation="softmax")(x))
    model.compile(keras.optimizers.Lion(1e-4, weight_decay=0.1), "categorical_crossentropy")
    library = keras_cv_layers(size)
    augment = [stage(s, library, wrap=True) for s in policy.steps]

    def prepare(images, labels):
        batch = {"images": tf.cast(images, tf.float32), "labels": labels}
        for each in augment:
            batch = each(batch)
        images = scaling(tf.clip_by_value(batch["images"], 0, 255))
        return images, batch["labels"], tf.ones(tf.shape(images)[0])

    images = np.ascontiguousarray(dataset.images[:])
    labels = np.eye(8, dtype=np.float32)[dataset.labels]
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).repeat()
    data = data.batch(32).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.prefetch(tf.data.AUTOTUNE)

    def run(steps: int) -> None:
        model.fit(data, steps_per_epoch=steps, verbose=0)

    return run


def fastest_precision(backbone: str) -> str:
    """What the ``cpu`` preset takes on this machine."""
    return make_config("demo", "fast", backbone=backbone).precision


def measure(run: Callable[[int], None], steps: int, batch: int = 32) -> Speed:
    clock, processor = time.perf_counter(), time.process_time()
    run(steps)
    images = steps * batch
    spent = time.process_time() - processor
    return Speed(images / (time.perf_counter() - clock), 1000 * spent / images)


def compare(dataset: Dataset, backbone: str, size: int, policy: Policy, steps: int):
    """Fastest of the rounds: (ours, theirs, ours without augmentation)."""
    runs = [
        our_steps(dataset, backbone, size, policy),
        plain_steps(dataset, backbone, size, policy),
        our_steps(dataset, backbone, size, NOTHING),
    ]
    for run in runs:
        run(WARM_UP)
    rounds = [[measure(run, steps) for run in runs] for _ in range(ROUNDS)]
    return [max(found, key=lambda s: s.per_second) for found in zip(*rounds, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.train", description=__doc__)
    parser.add_argument(
        "--backbones", nargs="*", default=["mobilenetv2", "efficientnetb3", "resnet50"]
    )
    parser.add_argument("--policies", nargs="*", default=["bloodcellcnn", "nothing"])
    parser.add_argument("--size", type=int, default=96, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=12, help="steps a round")
    options = parser.parse_args(arguments)

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    load_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        dataset = make_demo(workspace, "demo", per_class=40, size=options.size)
        print(
            f"Batches of 32 images of {options.size} × {options.size}, {os.cpu_count()} cores, "
            "images a second while training.\n"
        )
        heads = ("ours", "plain Keras", "ratio", "CPU ratio", "input")
        print(f"{'backbone':<16}{'policy':<10}" + "".join(f"{h:>13}" for h in heads))
        for backbone in options.backbones:
            for name in options.policies:
                print(f"{backbone}, {name} …", file=sys.stderr)
                policy = NOTHING if name == "nothing" else PRESETS[name]
                ours, theirs, bare = compare(dataset, backbone, options.size, policy, options.steps)
                values = (
                    f"{ours.per_second:.0f}",
                    f"{theirs.per_second:.0f}",
                    f"{ours.per_second / theirs.per_second:.2f}",
                    f"{theirs.processor / ours.processor:.2f}",
                    f"{bare.per_second / ours.per_second:.2f}",
                )
                row = "".join(f"{v:>13}" for v in values)
                print(f"{backbone:<16}{name:<10}{row}", flush=True)


if __name__ == "__main__":
    main()
