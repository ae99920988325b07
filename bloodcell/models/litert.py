"""Use a trained classifier without TensorFlow: the LiteRT side of the seam."""

import os
import threading
from contextlib import ContextDecorator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from bloodcell.classes import CLASS_NAMES
from bloodcell.errors import BadInput
from bloodcell.quiet import quiet_stderr

__all__ = ["LiteModel", "Outputs", "one_blas_thread"]

OUTPUTS = {"probabilities", "features", "maps"}
# Files that were exported by earlier versions have none.
TEXTURES = "textures"


class _OneBlasThread(ContextDecorator):
    """Within it NumPy's matrix products use one thread, in all threads of the process.

    The threads of OpenBLAS go on spinning for a while after a product, on the cores that the
    network needs for its next batch: measured on two cores, that doubles the time of an answer.
    """

    def __init__(self):
        # Visitors of a page overlap: it is so until the last of them has left.
        self._lock, self._users = threading.Lock(), 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                now = [library.num_threads for library in self._libraries]
                # Who limits them at the same time may leave them at what they were within.
                self._before = [max(pair) for pair in zip(now, self._before or now, strict=True)]
                self._set([1] * len(self._before))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._set(self._before)

    @cached_property
    def _libraries(self) -> list[Any]:
        return ThreadpoolController().select(user_api="blas").lib_controllers

    def _set(self, threads: list[int]) -> None:
        for library, count in zip(self._libraries, threads, strict=True):
            # Otherwise only the thread that set it last could set it.
            if release := getattr(library, "clear_controlling_thread", None):
                release(force=True)
            library.set_num_threads(count)
            if release:
                release(force=True)


one_blas_thread = _OneBlasThread()


@dataclass(frozen=True)
class Outputs:
    """What a member says of a batch of n images.

    Attributes:
        probabilities: float32, n×8, rows sum to 1.
        features: float32, n×C.
        maps: float32, n×h×w×8, class activation maps; their mean over h×w is the logits.
        textures: float32, n×T; T is 0 for a file without.
    """

    probabilities: np.ndarray
    features: np.ndarray
    maps: np.ndarray
    textures: np.ndarray


class LiteModel:
    """A classifier exported by :func:`bloodcell.models.export.export_litert`.

    Args:
        content: bytes of the ``.tflite`` file.
        name: what to call it in an error.
        threads: CPU threads; all cores by default.

    Attributes:
        size: pixels a side of its input. channels: C, numbers in its feature vector.
        textures: T, numbers that it says of textures. bytes: size of the file.

    Raises:
        BadInput: the bytes are not such a file.
    """

    def __init__(self, content: bytes, name: str, threads: int | None = None):
        from ai_edge_litert.interpreter import Interpreter

        self.name, self.bytes = name, len(content)
        # An interpreter is not thread-safe, and a server answers several people.
        self._lock = threading.Lock()
        try:
            with quiet_stderr():
                self._interpreter = Interpreter(
                    model_content=content, num_threads=threads or os.cpu_count()
                )
                self._interpreter.allocate_tensors()
                self._run = self._interpreter.get_signature_runner()
            inputs = {k: tuple(v["shape"]) for k, v in self._run.get_input_details().items()}
            outputs = {k: tuple(v["shape"]) for k, v in self._run.get_output_details().items()}
        except (ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise BadInput(
                f"{name} is not a LiteRT model of a run ({reason}): "
                "export the run again or restore the file from a copy."
            ) from error
        image = inputs.get("image", ())
        square = set(inputs) == {"image"} and image == (1, image[-2], image[-2], 3)
        classes = {outputs.get(k, (0,))[-1] for k in ("probabilities", "maps")}
        if not square or set(outputs) - {TEXTURES} != OUTPUTS or classes != {len(CLASS_NAMES)}:
            raise BadInput(
                f"{name} is a LiteRT model from {inputs} to {outputs}, expected one square RGB "
                f"image to {', '.join(sorted(OUTPUTS))} of {len(CLASS_NAMES)} classes: "
                "use one that a run exported."
            )
        self.size = int(image[1])
        self.channels = int(outputs["features"][-1])
        self.textures = int(outputs[TEXTURES][-1]) if TEXTURES in outputs else 0

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run a batch.

        Args:
            images: n×size×size×3, RGB in 0 to 255, any numeric dtype.
        """
        with self._lock:
            found = self._run(image=np.ascontiguousarray(images, dtype=np.float32))
        textures = found[TEXTURES] if self.textures else np.zeros((len(images), 0), np.float32)
        return Outputs(found["probabilities"], found["features"], found["maps"], textures)
