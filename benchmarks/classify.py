"""What an answer costs: one cell, a thousand, and the first after a cold start.

    python -m benchmarks.classify [ENSEMBLE] [--home DIR] [--no-predict] [--faithful DATASET]

ENSEMBLE is a name in the workspace (default: reference), a folder or a zip. The same networks are
also run by ``model.predict`` (their architectures with random weights: the cost is the same, and
TensorFlow must be installed), unless ``--no-predict`` is given. With ``--faithful DATASET`` the
deletion test is run on unseen test cells of a dataset: plain class activation maps, occlusion, and
maps that know nothing.
"""

import argparse
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bloodcell.data.imaging.resize import resized
from bloodcell.data.split import make_split
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.drawing.draw import draw_cell
from bloodcell.ensemble.classify import classify
from bloodcell.ensemble.ensemble import Ensemble, open_ensemble
from bloodcell.explain import deletion, find_evidence, occlusion_maps, random_map
from bloodcell.explain.evidence import PASSES
from bloodcell.workspace import open_workspace

__all__ = ["main"]

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 100


def _median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median seconds of a call, after two to warm up."""
    for _ in range(2):
        work()
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def _photographs(size: int, count: int) -> list[tuple[str, bytes]]:
    found = []
    for k in range(count):
        buffer = io.BytesIO()
        cell = draw_cell(k % 8, np.random.default_rng(k), size)
        Image.fromarray(cell).save(buffer, "JPEG", quality=92)
        found.append((f"{k}.jpg", buffer.getvalue()))
    return found


def one_cell(ensemble: Ensemble) -> dict[str, float]:
    """Seconds for one cell: the raw calls alone, the whole answer, and its evidence."""
    (file,) = _photographs(ensemble.size, 1)
    image = draw_cell(0, np.random.default_rng(0), ensemble.size)
    inputs = [resized(image[None], m.size).astype(np.float32) for m in ensemble.models]
    runners = [m._interpreter.get_signature_runner() for m in ensemble.models]

    def raw() -> None:
        for runner, value in zip(runners, inputs, strict=True):
            runner(image=value)

    works = {
        "raw LiteRT calls": raw,
        "answer: decoding, members, 3x3 class map, novelty, prediction set": lambda: classify(
            ensemble, [file], tta=False
        ),
        f"evidence on demand ({PASSES} passes a member)": lambda: find_evidence(ensemble, image),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    # In turn, so that what else the machine does falls on all alike.
    for n in range(ROUNDS):
        for k, (name, work) in enumerate(works.items()):
            if k < 2 or n % 5 == 0:
                begin = time.perf_counter()
                work()
                taken[name].append(time.perf_counter() - begin)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def by_predict(ensemble: Ensemble) -> float:
    """Seconds for one cell by ``model.predict`` of every member's architecture."""
    from bloodcell.models.classifier import build_classifier

    total = 0.0
    for member, model in zip(ensemble.description.members, ensemble.models, strict=True):
        keras = build_classifier(member.backbone, model.size)
        value = np.zeros((1, model.size, model.size, 3), np.float32)
        total += _median(lambda k=keras, v=value: k.predict(v, verbose=0), 12)
    return total


def cold_start(home: Path, name: str) -> tuple[float, bool]:
    """Seconds from a new process to the page's first answer, and whether TensorFlow was loaded."""
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=120)\n"
        f"app.session_state['active_ensembles'] = {name!r}\n"
        "app.run()\n"
        "app.button(key='try_drawn').click().run()\n"
        "while any(b.label == 'Stop' for b in app.button): app.run()\n"
        "assert not app.exception and any('Answered in' in m.value for m in app.markdown)\n"
        "print('tensorflow' in sys.modules)\n"
    )
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "BLOODCELL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - begin, done.stdout.strip().endswith("True")


def faithfulness(ensemble: Ensemble, home: Path, name: str, count: int = 96) -> list[list[str]]:
    """The deletion test of several maps by the first member: mean probability, wins over chance."""
    dataset = open_dataset(open_workspace(str(home)), name)
    trained = ensemble.description.trained_on
    test = make_split(dataset, trained.split_seed, trained.split_shares).indices("test")
    test = test[~np.isin(dataset.hashes[test], ensemble.seen())]
    test = test[np.linspace(0, len(test) - 1, min(count, len(test))).astype(int)]
    model = ensemble.models[0]

    def probabilities(images: np.ndarray) -> np.ndarray:
        return model(resized(images, model.size)).probabilities

    def class_map(image: np.ndarray, label: int) -> np.ndarray:
        found = model(resized(image[None], model.size)).maps[0]
        own = (found[..., label] - found.mean(-1)).astype(np.float32)
        return cv2.resize(own, image.shape[:2], interpolation=cv2.INTER_CUBIC)

    kinds = {
        "a map that knows nothing": lambda image, label: random_map(len(image), int(image.sum())),
        "class activation map, as the network gives it": class_map,
        "occlusion": lambda image, label: occlusion_maps(probabilities, image)[..., label],
    }
    scores: dict[str, list[float]] = {kind: [] for kind in kinds}
    for i in test:
        image = np.ascontiguousarray(dataset.images[i])
        label = int(probabilities(image[None]).argmax())
        for kind, make in kinds.items():
            scores[kind].append(deletion(probabilities, image, label, make(image, label)))
    nothing = np.array(scores["a map that knows nothing"])
    return [
        [kind, f"{np.mean(s):.3f}", f"{100 * np.mean(np.array(s) < nothing):.0f} %"]
        for kind, s in scores.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ensemble", nargs="?", default="reference")
    parser.add_argument("--home")
    parser.add_argument("--predict", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--faithful", metavar="DATASET")
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    workspace = open_workspace(options.home)
    ensemble = open_ensemble(workspace, options.ensemble)
    members = ", ".join(f"{m.name} {m.input_size}" for m in ensemble.description.members)
    print(f"{ensemble.name}: {members}; {os.cpu_count()} cores\n")
    found = one_cell(ensemble)
    raw = found["raw LiteRT calls"]
    answer = list(found)[1]
    print("one cell                                                            ms   of raw")
    for name, seconds in found.items():
        print(f"  {name:64s} {1000 * seconds:7.2f} {seconds / raw:7.2f}")
    if options.predict:
        keras = by_predict(ensemble)
        print(
            f"  {'model.predict of the same networks':64s} {1000 * keras:7.2f} {keras / raw:7.2f}"
        )
        print(f"  answer / model.predict: {found[answer] / keras:.3f}")
    files = _photographs(ensemble.size, options.batch)
    begin = time.perf_counter()
    classify(ensemble, files, tta=False)
    seconds = time.perf_counter() - begin
    each = seconds / len(files) / raw
    print(f"\n{len(files):,} files: {seconds:.1f} s, {1000 * seconds / len(files):.2f} ms each")
    print(f"  an image in the batch / one raw call: {each:.2f}")
    seconds, tensorflow = cold_start(workspace.home, ensemble.name)
    print(f"\ncold start to the first nine answers on the page: {seconds:.1f} s")
    print(f"  TensorFlow imported: {'yes' if tensorflow else 'no'}")
    if options.faithful:
        print("\ndeletion test: mean probability (lower is better), better than chance on")
        for kind, mean, wins in faithfulness(ensemble, workspace.home, options.faithful):
            print(f"  {kind:48s} {mean:>6s} {wins:>6s}")


if __name__ == "__main__":
    main()
