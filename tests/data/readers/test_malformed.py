"""Everything an import refuses: one sentence each, and nothing left behind."""

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bloodcell.classes import CLASS_NAMES
from bloodcell.data.readers.source import import_source
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.workspace import Workspace
from tests.data.samples import (
    GOOD,
    LABELS,
    arrays,
    encoded,
    file,
    folder,
    left_in,
    npy_bytes,
    npz,
    packed,
    pixels,
    raw_npz,
    two_each,
    write_npz,
)


def with_value(value, at=2, dtype=np.float32):
    images = (GOOD / 255).astype(dtype)
    images[at, 3, 3, 0] = value
    return images


def damaged_npz(folder):
    path = write_npz(folder / "source.npz", images=GOOD, labels=LABELS)
    data = path.read_bytes()
    at = data.index(GOOD[1].tobytes()[:40])
    path.write_bytes(data[:at] + bytes(40) + data[at + 40 :])
    return path


def cut_npz(folder):
    path = write_npz(folder / "source.npz", images=GOOD, labels=LABELS)
    path.write_bytes(path.read_bytes()[:1500])
    return path


PLAIN = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 12, 12, 3), }\n"

# What is wrong → (how to make such a source, words that its message must hold).
MALFORMED = {
    "int16 images": (arrays(GOOD.astype(np.int16)), ["images in", "int16", "expected uint8"]),
    "uint16 images": (arrays(GOOD.astype(np.uint16)), ["uint16"]),
    "bool images": (arrays(GOOD > 9), ["dtype bool"]),
    "complex images": (arrays(GOOD.astype(complex)), ["complex128"]),
    "rank 2": (arrays(GOOD.reshape(4, -1)), ["shape (4, 432)", "(N, H, W)"]),
    "rank 5": (arrays(GOOD[None]), ["shape (1, 4, 12, 12, 3)"]),
    "no axes": (arrays(np.uint8(3)), ["shape ()"]),
    "two channels": (arrays(GOOD[..., :2]), ["shape (4, 12, 12, 2)", "1, 3 or 4 channels"]),
    "channels first": (arrays(GOOD.transpose(0, 3, 1, 2)), ["transpose(0, 2, 3, 1)"]),
    "tiny images": (arrays(GOOD[:, :5]), ["12×5 pixels"]),
    "no images": (arrays(GOOD[:0], LABELS[:0]), ["holds no image"]),
    "object images": (arrays(np.array([{"a": 1}] * 4, object)), ["Python objects"]),
    "object labels": (arrays(labels=np.array(list("abcd"), object)), ["labels in", "objects"]),
    "records": (arrays(np.zeros(4, [("a", int)])), ["plain array"]),
    "NaN": (arrays(with_value(np.nan)), ["nan", "image 2"]),
    "infinity": (arrays(with_value(np.inf, 3)), ["inf", "image 3"]),
    "negative": (arrays(with_value(-0.5, 1)), ["-0.5", "image 1"]),
    "above 255": (arrays(with_value(256.0, 0)), ["256", "image 0"]),
    "between ranges": (arrays(with_value(1.25)), ["1.25", "neither"]),
    "label 8": (arrays(labels=np.array([0, 0, 8, 5])), ["label 8 at index 2", "0 to 7"]),
    "label -1": (arrays(labels=np.array([0, 0, 5, -1])), ["label -1 at index 3"]),
    "huge label": (arrays(labels=np.array([0, 0, 2**63 + 1, 5], np.uint64)), ["index 2"]),
    "half labels": (arrays(labels=np.array([0, 0, 1.5, 5])), ["label 1.5 at index 2"]),
    "NaN label": (arrays(labels=np.array([0, np.nan, 5, 5])), ["nan at index 1"]),
    "bool labels": (arrays(labels=LABELS > 0), ["dtype bool"]),
    "time labels": (arrays(labels=LABELS.astype("M8[s]")), ["datetime64"]),
    "unknown names": (arrays(labels=np.array(["ba", "ba", "cat", "mo"])), ["'cat' at index 2"]),
    "empty names": (arrays(labels=np.array(["", "", "", ""])), ["labels"]),
    "names of no width": (
        raw_npz(
            images=npy_bytes(GOOD),
            labels=npy_bytes(
                np.zeros(0, "U1"),
                header=b"{'descr': '<U0', 'fortran_order': False, 'shape': (4,), }\n",
            ),
        ),
        ["empty text"],
    ),
    "names that are no text": (
        arrays(labels=np.array([0x7FFFFFFF] * 4, np.uint32).view("U1")),
        ["no Unicode"],
    ),
    "control characters": (arrays(labels=np.array(["a\n\x1b[1m"] * 4)), ["index 0"]),
    "labels of rank 3": (arrays(labels=LABELS[:, None, None]), ["shape (4, 1, 1)"]),
    "nine columns": (arrays(labels=np.eye(9, dtype=int)[LABELS]), ["shape (4, 9)"]),
    "soft labels": (arrays(labels=np.full((4, 8), 1 / 8)), ["row 0", "single 1"]),
    "two hot": (arrays(labels=np.eye(8, dtype=int)[LABELS] * 0 + 1), ["single 1"]),
    "none hot": (arrays(labels=np.zeros((4, 8), int)), ["row 0"]),
    "fewer labels": (arrays(labels=LABELS[:3]), ["4 images", "3 labels"]),
    "more labels": (arrays(GOOD[:3], LABELS), ["3 images", "4 labels"]),
    "no labels": (npz(images=GOOD), ["has no labels", "keys: images"]),
    "no images key": (npz(labels=LABELS), ["has no images", "keys: labels"]),
    "other keys": (npz(x=GOOD, y=LABELS), ["keys: x, y", "train_images"]),
    "half a part": (
        npz(train_images=GOOD, train_labels=LABELS, val_images=GOOD),
        ["has no val_labels"],
    ),
    "two sets": (
        npz(images=GOOD, labels=LABELS, test_images=GOOD, test_labels=LABELS),
        ["images of parts and images of none"],
    ),
    "the same twice": (
        npz(train_images=GOOD, train_labels=LABELS, train_x=GOOD),
        ["train_images and train_x for the same images"],
    ),
    "one of a class": (arrays(labels=np.array([0, 0, 0, 5])), ["1 image of the class monocyte"]),
    "damaged npz": (damaged_npz, ["images.npy in source.npz is damaged", "CRC"]),
    "cut npz": (cut_npz, ["source.npz is damaged or cut off"]),
    "no array": (raw_npz(images=b"hello", labels=b"you"), ["is no NumPy array"]),
    "empty member": (raw_npz(images=b"", labels=npy_bytes(LABELS)), ["is no NumPy array"]),
    "pickled member": (
        raw_npz(images=pickle.dumps(GOOD), labels=npy_bytes(LABELS)),
        ["is no NumPy array"],
    ),
    "short array": (raw_npz(images=npy_bytes(GOOD)[:-9], labels=npy_bytes(LABELS)), ["promises"]),
    "long array": (raw_npz(images=npy_bytes(GOOD) + b"x", labels=npy_bytes(LABELS)), ["promises"]),
    "long header": (
        raw_npz(images=npy_bytes(GOOD, header=PLAIN + b" " * 20_000), labels=npy_bytes(LABELS)),
        ["header of 20,"],
    ),
    "code in the header": (
        raw_npz(
            images=npy_bytes(GOOD, header=b"__import__('os').abort()"), labels=npy_bytes(LABELS)
        ),
        ["header that cannot be read"],
    ),
    "header without an end": (
        raw_npz(images=npy_bytes(GOOD, header=PLAIN.replace(b"}", b"{")), labels=npy_bytes(LABELS)),
        ["header that cannot be read"],
    ),
    "negative shape": (
        raw_npz(
            images=npy_bytes(GOOD, header=PLAIN.replace(b"(4, 12, 12, 3)", b"(-4, -12, 12, 3)")),
            labels=npy_bytes(LABELS),
        ),
        ["shape (-4, -12, 12, 3)"],
    ),
    "header of version 3": (
        raw_npz(images=b"\x93NUMPY\x03\x00" + npy_bytes(GOOD)[8:], labels=npy_bytes(LABELS)),
        ["version 3.0"],
    ),
    "pickle": (file(pickle.dumps({"images": [1]})), ["Python pickle", "never opened"]),
    "npy": (file(npy_bytes(GOOD), "source.npy"), ["single NumPy array"]),
    "npy named npz": (file(npy_bytes(GOOD)), ["single NumPy array"]),
    "text": (file(b"images, labels\n1, 2\n"), ["none of these", "images, labels"]),
    "gzip": (file(gzip.compress(b"x" * 99)), ["is a gzip file"]),
    "tar": (file(bytes(257) + b"ustar" + bytes(300), "source.tar"), ["is a tar archive"]),
    "single image": (file(encoded(GOOD[0]), "source.png"), ["single PNG image"]),
    "empty file": (file(b""), ["is empty (0 bytes)"]),
    "empty zip": (packed({}), ["source.zip holds no image", *CLASS_NAMES]),
    "empty folder": (folder({"readme.txt": b"x"}), ["source holds no image"]),
    "unknown class": (
        folder({**two_each("basophil"), "blast/a.png": b"x"}),
        ["'blast'", *CLASS_NAMES],
    ),
    "unknown class in a zip": (
        packed({**two_each("basophil"), "blast/a.png": b"x"}),
        ["'blast'", *CLASS_NAMES],
    ),
    "image outside": (packed({**two_each("basophil"), "a.png": b"x"}), ["no class folder"]),
    "archive inside": (packed({"basophil/a.zip": b"PK"}), ["an archive inside"]),
    "one image of a class": (
        packed({**two_each("basophil"), "platelet/a.png": encoded(GOOD[0])}),
        ["1 image of the class platelet"],
    ),
    "broken image": (
        folder({**two_each("basophil"), "basophil/z.png": encoded(GOOD[0])[:60]}),
        ["basophil/z.png", "--skip-broken"],
    ),
    "image broken in its last bytes": (
        packed({**two_each("basophil"), "basophil/z.jpg": encoded(pixels(0, 300), "JPEG")[:-4000]}),
        ["basophil/z.jpg", "--skip-broken"],
    ),
    "way out": (packed({"../basophil/a.png": b"x"}), ["leads out"]),
}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_source_gives_one_sentence_and_leaves_nothing(workspace, tmp_path, what):
    build, words = MALFORMED[what]
    source = build(tmp_path)
    with pytest.raises(BadInput) as caught:
        import_source(workspace, source, "cells")
    message = str(caught.value)
    for word in words:
        assert word in message
    assert message.isprintable()
    assert message.endswith(".")
    assert left_in(workspace) == []


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_altered_npz_files_give_a_dataset_or_an_error_of_ours(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzzed")
    order = data.draw(st.sampled_from("CF"))
    path = write_npz(
        folder / "a.npz", images=np.asarray(GOOD[:, :8, :8], order=order), labels=LABELS
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    workspace = Workspace(folder)
    try:
        import_source(workspace, path, "cells")
    except BloodCellError:
        assert left_in(workspace) == []
    else:
        assert "datasets/cells/dataset.json" in left_in(workspace)
