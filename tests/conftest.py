"""What many tests share: a drawn dataset, a finished run, an ensemble, all of them real.

The session's copies are read by everyone and written by no one: a test that changes something
asks for `demo_copy` or `home`, which are its own.
"""

import builtins
import errno
import gc
import io
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).parents[1]

# Set before anything imports TensorFlow: two busy cores are all that can be counted on.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# A busy machine is no fault of the code.
settings.register_profile("bloodcell", deadline=None)
settings.load_profile("bloodcell")

DEMO_PER_CLASS, DEMO_SIZE = 20, 48


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--order-seed",
        type=int,
        metavar="N",
        help="Run the files, and the tests of each, in the random order of this number.",
    )


def pytest_configure(config: pytest.Config) -> None:
    # The order is made below, with what takes longest first; by numbers of tests it would be last.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, or with those of the order that was asked for."""
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        groups[item.nodeid.partition("::")[0]].append(item)
    seed = config.getoption("order_seed")
    if seed is None:
        ordered = sorted(groups.items(), key=lambda group: -weight(*group))
        items[:] = [item for _, group in ordered for item in group]
        return
    chance = random.Random(seed)
    shuffled = list(groups.values())
    chance.shuffle(shuffled)
    for group in shuffled:
        chance.shuffle(group)
    items[:] = [item for group in shuffled for item in group]


def weight(name: str, group: list[pytest.Item]) -> int:
    """How early a file has to begin."""
    browser = any(item.get_closest_marker("browser") for item in group)
    long = ("slow", "nightly")
    return 1000 * browser + sum(any(map(item.get_closest_marker, long)) for item in group)


@pytest.fixture(autouse=True)
def _no_workspace_by_accident(monkeypatch: pytest.MonkeyPatch):
    """A test that names no workspace must not find the developer's."""
    monkeypatch.delenv("BLOODCELL_HOME", raising=False)
    monkeypatch.delenv("BLOODCELL_DETACHED", raising=False)


@pytest.fixture(autouse=True)
def no_built_in_ensemble(monkeypatch: pytest.MonkeyPatch):
    """A workspace has the ensembles that a test gave it, and no other."""
    monkeypatch.setattr("bloodcell.workspace.built_in_ensembles", lambda: None)


@pytest.fixture(autouse=True, scope="module")
def few_to_look_at() -> None:
    """Of all that was imported and made before, nothing is garbage: it is not looked through."""
    gc.freeze()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, once for all processes of this run of the tests."""
    from bloodcell.locks import locked

    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home, done = folder / name / "home", folder / name / "done"
    home.parent.mkdir(exist_ok=True)
    with locked(folder / name / "lock", wait_s=300) as got:
        assert got, f"another process still makes {home}"
        if not done.exists():
            make(home)
            done.touch()
    return home


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the drawn dataset "demo": 20 of each class, 48 pixels. Do not change it."""
    from bloodcell.data.synthetic.demo import make_demo
    from bloodcell.workspace import Workspace

    def make(home: Path) -> None:
        make_demo(Workspace(home), "demo", per_class=DEMO_PER_CLASS, size=DEMO_SIZE)

    return made_once(tmp_path_factory, "demo", make)


@pytest.fixture(scope="session")
def trained_home(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`demo_home` with a finished run of the tiny network and the ensemble "first" of it.

    Do not change it.
    """
    from bloodcell.ensemble.compose import compose
    from bloodcell.runs.execute import execute
    from bloodcell.runs.launch import prepare
    from bloodcell.training.config import make_config
    from bloodcell.workspace import Workspace

    def make(home: Path) -> None:
        shutil.copytree(demo_home, home)
        workspace = Workspace(home)
        config = make_config(
            "demo", backbone="tiny", input_size=48, epochs=2, batch_size=4, learning_rate=5e-3
        )
        run = prepare(workspace, config)
        assert execute(workspace, run, echo=False) == "finished"
        compose(workspace, [run], "first")

    return made_once(tmp_path_factory, "trained", make)


@pytest.fixture(scope="module")
def slurm_alone():
    """The Slurm of one node for this module alone: its cores are few."""
    from bloodcell.locks import locked

    with locked(Path(os.environ["SLURM_CONF"]).with_name("tests.lock"), wait_s=500) as got:
        assert got, "other tests do not let go of Slurm"
        yield


@pytest.fixture
def only_to_be_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """`only_to_be_read(folder)`: from now on the disk refuses to write anything beneath it.

    As a disk mounted for reading does; permissions would not stop a test that runs as root.
    """

    def protect(folder: Path) -> None:
        opened, made = io.open, Path.mkdir

        def refused(path: Any) -> bool:
            return isinstance(path, str | Path) and Path(path).is_relative_to(folder)

        def open_(file: Any, mode: str = "r", *arguments: Any, **more: Any):
            if set(mode) & set("wax+") and refused(file):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
            return opened(file, mode, *arguments, **more)

        def mkdir(path: Path, *arguments: Any, **more: Any) -> None:
            if refused(path) and not path.is_dir():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            made(path, *arguments, **more)

        def guarded(act: Callable) -> Callable:
            def checked(*paths: Any, **more: Any) -> Any:
                for path in paths[:2]:
                    if refused(path):
                        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
                return act(*paths, **more)

            return checked

        monkeypatch.setattr(io, "open", open_)
        monkeypatch.setattr(builtins, "open", open_)
        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "touch", guarded(Path.touch))
        for name in ("rename", "replace", "link", "unlink", "rmdir", "utime"):
            monkeypatch.setattr(os, name, guarded(getattr(os, name)))

    return protect


@pytest.fixture
def demo_copy(demo_home: Path, tmp_path: Path) -> Path:
    """A private copy of `demo_home`, to change at will."""
    return Path(shutil.copytree(demo_home, tmp_path / "home"))


@pytest.fixture
def home(trained_home: Path, tmp_path: Path) -> Path:
    """A private copy of `trained_home`, to change at will."""
    return Path(shutil.copytree(trained_home, tmp_path / "home"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real photographs (``pbc96.zip``, ``bccd_external.zip``)."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "pbc96.zip").is_file():
        pytest.skip(f"the real photographs are not beside the repository ({folder})")
    return folder
