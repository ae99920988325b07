"""What an import promises whatever the source: recognised by content, all or nothing, bounded."""

import errno
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bloodcell.data.readers import sizing
from bloodcell.data.readers.source import import_source
from bloodcell.errors import BadInput, NameTaken, NoSpace, NotFound, Stopped
from bloodcell.workspace import Workspace
from tests.data.samples import (
    GOOD,
    LABELS,
    arrays,
    file,
    left_in,
    npy_bytes,
    packed,
    two_each,
    write_npz,
    write_zip,
)

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


class TestAllOrNothing:
    @pytest.mark.parametrize("build", [arrays(), packed(two_each("basophil", "monocyte"))])
    @pytest.mark.parametrize("at", range(4))
    def test_a_stop_leaves_nothing(self, workspace, tmp_path, build, at):
        def stop(done, total, what):
            if what == "images" and done == at:
                raise Stopped("stopped")

        with pytest.raises(Stopped):
            import_source(workspace, build(tmp_path), "cells", progress=stop)
        assert left_in(workspace) == []

    def test_a_failure_leaves_other_datasets_alone(self, workspace, tmp_path):
        good = import_source(workspace, arrays()(tmp_path), "good")
        before = left_in(workspace)
        with pytest.raises(BadInput):
            import_source(workspace, file(b"text")(tmp_path), "bad")
        assert left_in(workspace) == before
        assert len(good.images) == 4


class TestNames:
    def test_a_taken_name_is_refused_before_the_source_is_touched(self, workspace, tmp_path):
        import_source(workspace, arrays()(tmp_path), "cells")
        with pytest.raises(NameTaken, match="'cells' is taken"):
            import_source(workspace, tmp_path / "does not exist", "cells")

    @pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "con", "x" * 65, "a b"])
    def test_an_unusable_name_is_refused_before_the_source_is_touched(self, workspace, name):
        with pytest.raises(BadInput, match="cannot be the name of a dataset"):
            import_source(workspace, "does not exist", name)

    @pytest.mark.parametrize("source", ["", "nowhere.zip", "~nobody/x", "a\0b", "x" * 5000])
    def test_a_missing_source(self, workspace, source):
        with pytest.raises(NotFound, match="no file or folder"):
            import_source(workspace, source, "cells")


class TestRecognition:
    """Names of files say nothing; their content does."""

    @pytest.mark.parametrize("name", ["cells.zip", "cells.npz", "cells", "cells.jpg"])
    def test_a_zip_of_folders(self, workspace, tmp_path, name):
        source = write_zip(tmp_path / name, two_each("basophil"))
        assert len(import_source(workspace, source, "cells")) == 2

    @pytest.mark.parametrize("name", ["cells.zip", "cells.npz", "cells", "cells.jpg"])
    def test_arrays(self, workspace, tmp_path, name):
        source = write_npz(tmp_path / name, images=GOOD, labels=LABELS)
        assert len(import_source(workspace, source, "cells")) == 4

    def test_a_zip_with_something_before_it(self, workspace, tmp_path):
        plain = write_zip(tmp_path / "a.zip", two_each("basophil"))
        (tmp_path / "setup.exe").write_bytes(b"MZ" + bytes(500) + plain.read_bytes())
        assert len(import_source(workspace, tmp_path / "setup.exe", "cells")) == 2

    def test_text_and_path_are_both_taken(self, workspace, tmp_path):
        source = arrays()(tmp_path)
        assert import_source(workspace, str(source), "one").fingerprint == (
            import_source(workspace, source, "two").fingerprint
        )


class TestProgress:
    @pytest.mark.parametrize("build", [arrays(), packed(two_each("basophil", "monocyte"))])
    def test_images_are_counted_up_to_the_last(self, workspace, tmp_path, build):
        calls = []
        import_source(
            workspace, build(tmp_path), "cells", progress=lambda *call: calls.append(call)
        )
        assert [call for call in calls if call[2] == "images"] == [
            (done, 4, "images") for done in range(5)
        ]


class TestSpace:
    @pytest.mark.parametrize("build", [arrays(), packed(two_each("basophil", "monocyte"))])
    def test_too_small_a_disk_is_noticed_before_anything_is_written(
        self, workspace, tmp_path, build, monkeypatch
    ):
        monkeypatch.setattr(sizing, "SPARE_BYTES", 2**62)
        with pytest.raises(NoSpace, match="MiB are free"):
            import_source(workspace, build(tmp_path), "cells")
        assert left_in(workspace) == []

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_a_disk_that_fills_up_on_the_way_leaves_nothing(self, workspace, tmp_path, order):
        """The limit on the size of a file fails a write as a full disk does."""
        images = np.zeros((400, 32, 32, 3), np.uint8)
        source = tmp_path / "a.npz"
        np.savez(source, images=np.asarray(images, order=order), labels=np.zeros(400, int))
        script = (
            "import resource, sys\n"
            "from bloodcell.data.readers.source import import_source\n"
            "from bloodcell.errors import NoSpace\n"
            "from bloodcell.workspace import open_workspace\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
            "try:\n"
            "    import_source(open_workspace(sys.argv[1]), sys.argv[2], 'cells')\n"
            "except NoSpace as error:\n"
            "    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(workspace.home), str(source)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "space" in done.stdout
        assert left_in(workspace) == []

    def test_other_failures_of_the_system_are_not_taken_for_a_full_disk(self, workspace, tmp_path):
        def fail(done, total, what):
            raise OSError(errno.EIO, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            import_source(workspace, arrays()(tmp_path), "cells", progress=fail)
        assert left_in(workspace) == []


@pytest.mark.nightly
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_does_not_grow_with_the_data(tmp_path, order):
    """Four times the images may cost a few megabytes, not four times the memory."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bloodcell.data.readers.source import import_source\n"
        "from bloodcell.workspace import open_workspace\n"
        "import_source(open_workspace(sys.argv[1]), sys.argv[2], 'cells')\n"
        # Not getrusage: its peak is at least that of the process which started this one.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    peaks = []
    for n in (3_000, 12_000):
        source = tmp_path / f"{n}.npz"
        images = np.lib.format.open_memmap(
            tmp_path / "images.npy", "w+", np.uint8, (n, 64, 64, 3), fortran_order=order == "F"
        )
        # All black they would be refused.
        images[0, 0, 0, 0] = 200
        images.flush()
        with zipfile.ZipFile(source, "w") as archive:
            archive.write(tmp_path / "images.npy", "images.npy")
            archive.writestr("labels.npy", npy_bytes(np.arange(n) % 8))
        del images
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / str(n)), str(source)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
            check=True,
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 40  # MiB, where the images differ by 105


@pytest.mark.realdata
@pytest.mark.skipif(not (SHARED / "bccd_external.zip").exists(), reason="no photographs at hand")
def test_photographs_of_another_laboratory(workspace):
    dataset = import_source(workspace, SHARED / "bccd_external.zip", "other", size=96)
    assert len(dataset) == 348
    assert dataset.size == (96, 96)
    assert dataset.counts()["erythroblast"] == 0
    assert 100 < dataset.images[:].mean() < 240
