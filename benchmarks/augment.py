"""How fast augmentation is: ours against keras-cv and core Keras, on the same images, in one run.

    python -m benchmarks.augment [--size 96] [--batch 32] [--seconds 1.5] [--only gentle hue …]
    python -m benchmarks.augment --engines

First come the two engines side by side as a training calls them, then the libraries alone, each
as a training would use it: its layers in a ``tf.data`` map that may take every core, ours in one
thread a core. Each makes batches for the given number of seconds. Ratios are given by the clock
and by processor time, which other programs on the machine disturb less.
The cells are drawn, the same for all. A dash stands for what a library has no layer for. "All on"
is a preset with every probability set to one; a layer that has no probability of its own is run
on all images and chosen from, or wrapped in keras-cv's ``RandomApply``, whichever is faster.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from bloodcell.augment import CATALOGUE, PRESETS, Policy, Step, apply, step
from bloodcell.augment.comparison import compare_engines
from bloodcell.augment.keras_cv_engine import keras_cv_layers, missing_steps
from bloodcell.data.synthetic.drawing.draw import draw_cell

__all__ = ["main"]


@dataclass(frozen=True)
class Speed:
    """Images a second by the clock, and milliseconds of processor time an image."""

    per_second: float
    processor: float


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self):
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def passed(self) -> float:
        return time.perf_counter() - self._clock

    def speed(self, images: int) -> Speed:
        spent = time.process_time() - self._processor
        return Speed(images / self.passed(), 1000 * spent / images)


# Of the policy's name: least ratio to keras-cv, or None, and most share of a training step.
GOALS = {"gentle": (None, 0.05), "bloodcellcnn": (5, 0.20)}
Layers = dict[str, Callable[[dict], list]]
RANGE = (0, 255)


def keras_cv_library(size: int) -> Layers:
    """The layers of the second engine; no library turns by quarters: a free rotation stands in."""
    import keras_cv.layers as cv

    return {**keras_cv_layers(size, size), "quarter_turn": lambda p: [cv.RandomRotation(0.5)]}


def core_keras_layers(size: int) -> Layers:
    """What Keras 3 itself has for each augmentation, at the same parameters."""
    from keras import layers as k

    return {
        "flip": lambda p: [k.RandomFlip("horizontal_and_vertical")],
        "quarter_turn": lambda p: [k.RandomRotation(0.5, fill_mode="reflect")],
        "rotation": lambda p: [k.RandomRotation(p["angle"] / 360, fill_mode="reflect")],
        "zoom": lambda p: [
            k.RandomZoom((-p["amount"], p["amount"] + p["shrink"]), fill_mode="reflect")
        ],
        "translation": lambda p: [k.RandomTranslation(p["amount"], p["amount"])],
        "crop": lambda p: [k.RandomCrop(*_small(size, p)), k.Resizing(size, size)],
        "resize": lambda p: [k.Resizing(*_small(size, p)), k.Resizing(size, size)],
        "brightness": lambda p: [k.RandomBrightness(p["amount"], RANGE)],
        "contrast": lambda p: [k.RandomContrast(p["amount"], RANGE)],
        "hue": lambda p: [k.RandomHue(p["angle"] / 180, RANGE)],
        "saturation": lambda p: [
            k.RandomSaturation((0.5 - p["amount"] / 4, 0.5 + (p["amount"] + p["boost"]) / 4), RANGE)
        ],
        "random_color_degeneration": lambda p: [
            k.RandomColorDegeneration((0.0, p["amount"]), RANGE)
        ],
        "gaussian_noise": _noise,
        "defocus": lambda p: [
            k.RandomGaussianBlur(1.0, _reach(size, p), min(1.0, p["radius"] * size), RANGE)
        ],
        "random_erasing": lambda p: [k.RandomErasing(1.0, (0.0, p["area"]), value_range=RANGE)],
        "randaugment": lambda p: [k.RandAugment(RANGE, p["operations"], p["magnitude"])],
        "augmix": lambda p: [k.AugMix(RANGE, factor=p["severity"])],
        "cutmix": lambda p: [k.CutMix(p["alpha"])],
        "mixup": lambda p: [k.MixUp(p["alpha"])],
    }


def _small(size: int, p: dict) -> tuple[int, int]:
    # these layers know one size for all images (and do not average when they shrink), so this is
    # less than ours does: the middle of the range that ours draws from for each image
    side = round(size * (1 - p["amount"] / 2))
    return side, side


def _noise(p: dict) -> list:
    from keras import layers as k

    # the layer takes no deviation above 1, so the images go to 0–1 and back
    return [k.Rescaling(1 / 255), k.GaussianNoise(p["sigma"] / 255), k.Rescaling(255.0)]


def _reach(size: int, p: dict) -> int:
    return 2 * int(np.ceil(p["radius"] * size)) + 1


def time_ours(policy: Policy, images: np.ndarray, labels: np.ndarray, seconds: float) -> Speed:
    """Our engine with one thread a core."""

    def work(seed: int) -> int:
        rng, made = np.random.default_rng(seed), 0
        while watch.passed() < seconds:
            made += len(apply(policy, images, labels, rng)[0])
        return made

    apply(policy, images, labels, np.random.default_rng(0))
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        watch = Stopwatch()
        made = sum(pool.map(work, range(threads)))
    return watch.speed(made)


def time_layers(
    steps: Sequence[Step],
    library: Layers,
    wrap: bool,
    images: np.ndarray,
    labels: np.ndarray,
    seconds: float,
) -> Speed | None:
    """A library's layers in ``tf.data``; None where it lacks one."""
    import tensorflow as tf

    if any(s.key not in library for s in steps):
        return None
    stages = [stage(s, library, wrap) for s in steps]

    def augment(pixels, targets):
        batch = {"images": tf.cast(pixels, tf.float32), "labels": targets}
        for stage in stages:
            batch = stage(batch)
        return tf.cast(tf.clip_by_value(batch["images"], 0, 255), tf.uint8), batch["labels"]

    data = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    data = data.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    batches = iter(data)
    # the first batches trace the graph and start the threads
    for _ in range(4):
        next(batches)
    watch, made = Stopwatch(), 0
    while watch.passed() < seconds:
        made += len(next(batches)[0])
    return watch.speed(made)


def stage(s: Step, library: Layers, wrap: bool) -> Callable:
    """The layers of one step as a function of a batch, at the step's probability."""
    import tensorflow as tf

    layers = library[s.key](CATALOGUE[s.key].defaults() | s.parameters)
    mixes = CATALOGUE[s.key].mixes_labels
    # what the engine makes of one layer and arithmetic is no layer to wrap
    wrapped = wrap and s.probability < 1 and len(layers) == 1 and hasattr(layers[0], "get_config")
    wrapped = wrapped and not mixes
    if wrapped:
        import keras_cv

        layers = [keras_cv.layers.RandomApply(layers[0], rate=s.probability)]

    def run(batch: dict) -> dict:
        # keras-cv's AugMix stops with an error at values above 255, which other layers leave
        out = batch | {"images": tf.clip_by_value(batch["images"], 0, 255)}
        for layer in layers:
            if mixes:
                out = layer(out, training=True)
            else:
                out["images"] = layer(out["images"], training=True)
        if s.probability == 1 or wrapped:
            return out
        chosen = tf.random.uniform([tf.shape(batch["labels"])[0]]) < s.probability
        return {
            "images": tf.where(chosen[:, None, None, None], out["images"], batch["images"]),
            "labels": tf.where(chosen[:, None], out["labels"], batch["labels"]),
        }

    return run


def time_training(images: np.ndarray, labels: np.ndarray, seconds: float) -> Speed:
    """Training steps of MobileNetV2 as the product trains it, on a batch in memory."""
    from bloodcell.models.classifier import build_classifier
    from bloodcell.models.kernels import use_fast_kernels
    from bloodcell.training.config import make_config
    from bloodcell.training.step import make_optimizer, make_step

    config = make_config("drawn", backbone="mobilenetv2", weights="none", input_size=len(images[0]))
    model = build_classifier(config.backbone, config.input_size, "none", config.dropout)
    optimizer = make_optimizer(config, model)
    use_fast_kernels(model)
    train = make_step(config, model, optimizer, [])
    weights = np.ones(len(images), np.float32)
    for _ in range(3):
        train(images, labels, weights, np.float32(0))
    watch, made = Stopwatch(), 0
    while watch.passed() < seconds:
        loss, _ = train(images, labels, weights, np.float32(0))
        float(loss)
        made += len(images)
    return watch.speed(made)


def policies(only: Sequence[str]) -> list[Policy]:
    """Every augmentation alone, the presets, and the presets with every step on."""
    alone = [Policy(key, (step(key),)) for key in CATALOGUE]
    presets = [p for p in PRESETS.values() if p.steps]
    always = [
        Policy(f"{p.name}, all on", tuple(Step(s.key, 1.0, s.parameters) for s in p.steps))
        for p in presets
        if any(s.probability < 1 for s in p.steps)
    ]
    return [p for p in alone + presets + always if not only or p.name in only]


def print_engines(images: np.ndarray, labels: np.ndarray, seconds: float) -> None:
    """Both engines as a training calls them, for the presets that keras-cv can carry out."""
    print(
        "\nThe two engines as a training calls them, in turns, in a process of their own, by the "
        "median batch; the first, in which keras-cv is loaded and traced, is not counted.\n"
    )
    heads = ("own /s", "k-cv /s", "× k-cv", "CPU ms", "k-cv ms", "CPU × k-cv", "first s")
    print(_row(["", *heads]))
    for policy in PRESETS.values():
        if not policy.steps:
            continue
        if missing := missing_steps(policy):
            print(_row([policy.name]) + f"  keras-cv lacks {'; '.join(missing)}")
            continue
        own, other = compare_engines(policy, images, labels, seconds=seconds)
        row = [f"{own.per_second:,.0f}", f"{other.per_second:,.0f}"]
        row += [f"{own.per_second / other.per_second:.1f}", f"{own.processor_ms:.2f}"]
        row += [f"{other.processor_ms:.2f}", f"{other.processor_ms / own.processor_ms:.1f}"]
        print(_row([policy.name, *row, f"{other.first_s:.0f}"]), flush=True)


def _row(values: Sequence[str]) -> str:
    return f"{values[0]:<26}" + "".join(f"{v:>12}" for v in values[1:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.augment", description=__doc__)
    parser.add_argument("--size", type=int, default=96, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=32, help="images a batch")
    parser.add_argument("--seconds", type=float, default=1.5, help="time a measurement takes")
    parser.add_argument("--engines", action="store_true", help="only the two engines, by preset")
    parser.add_argument("--only", nargs="*", default=[], help="augmentations and presets")
    options = parser.parse_args(arguments)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    cv2.setNumThreads(1)
    classes = np.arange(options.batch) % 8
    images = np.stack(
        [draw_cell(k, np.random.default_rng(i), options.size) for i, k in enumerate(classes)]
    )
    labels = np.eye(8, dtype=np.float32)[classes]

    print_engines(images, labels, 2 * options.seconds)
    if options.engines:
        return
    print("loading the libraries and tracing a training step …", file=sys.stderr)
    libraries = [keras_cv_library(options.size), core_keras_layers(options.size)]
    training = time_training(images, labels, 2 * options.seconds)
    before = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{options.batch} drawn cells of {options.size} × {options.size} pixels a batch, "
        f"{options.seconds:g} s a measurement, {os.cpu_count()} cores, load {before:.1f} at the "
        "start.\nImages per second; how many times as fast ours is, by the clock and by processor "
        "time of this process (CPU); the cost of ours over that of a training step of MobileNetV2 "
        f"as the product trains it, by the clock ({1000 / training.per_second:.1f} ms an image) "
        f"and by processor time ({training.processor:.1f} ms). At a load above {os.cpu_count()} "
        "the processor's figures are the ones to go by.\n"
    )
    heads = ("ours /s", "keras-cv /s", "Keras /s", "× keras-cv", "× Keras")
    print(_row(["", *heads, "CPU × k-cv", "CPU × Keras", "of a step", "CPU of it"]))
    reached: dict[str, tuple[float | None, float]] = {}
    for policy in policies(options.only):
        ours = time_ours(policy, images, labels, options.seconds)
        theirs: list[Speed | None] = []
        for library in libraries:
            tried = [
                time_layers(policy.steps, library, wrap, images, labels, options.seconds)
                for wrap in sorted({False, any(s.probability < 1 for s in policy.steps)})
            ]
            theirs.append(None if None in tried else max(tried, key=lambda t: t.per_second))
        row = [policy.name, f"{ours.per_second:,.0f}"]
        row += [f"{t.per_second:,.0f}" if t else "–" for t in theirs]
        row += [f"{ours.per_second / t.per_second:.1f}" if t else "–" for t in theirs]
        row += [f"{t.processor / ours.processor:.1f}" if t else "–" for t in theirs]
        clock, share = training.per_second / ours.per_second, ours.processor / training.processor
        print(_row([*row, f"{clock:.1%}", f"{share:.1%}"]), flush=True)
        ratio = theirs[0].processor / ours.processor if theirs[0] else None
        reached[policy.name] = ratio, share
    for name, (least, most) in GOALS.items():
        if name in reached:
            ratio, share = reached[name]
            faster = f"{ratio:.1f} times as fast as keras-cv" if ratio else "no like in keras-cv"
            goal = f"at least {least:g} times, " if least else ""
            print(f"\n{name}: {faster}, {share:.1%} of a step (goal: {goal}at most {most:.0%})")


if __name__ == "__main__":
    main()
