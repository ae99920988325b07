"""The command line as a script sees it: exit codes, one line of error, one JSON document."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bloodcell import __version__
from bloodcell.classes import CLASS_NAMES
from bloodcell.cli import main
from bloodcell.data.store.dataset import open_dataset
from bloodcell.data.synthetic.demo import make_demo
from bloodcell.verbs.options import show
from bloodcell.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]
# Written down by hand, because scripts rely on them: a new verb may come, none may go.
VERBS = {
    "augment", "import", "merge", "demo", "download", "datasets", "audit", "exclude", "train",
    "runs", "stop", "resume", "ensemble", "evaluate", "classify", "split", "export", "rename",
    "delete", "stains", "restore", "trash", "queue", "edit", "duplicate", "pack", "compare",
    "track",
    "decisions", "card", "stress", "agree", "verify", "adapt", "home", "count",
}  # fmt: skip


def bloodcell(
    *arguments: object, home: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m bloodcell`` in a process of its own, with nothing on its standard input."""
    at = ["--home", str(home)] if home else []
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BLOODCELL")}
    return subprocess.run(
        [sys.executable, "-m", "bloodcell", *at, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**clean, **environment},
        check=False,
        timeout=300,
    )


def document(done: subprocess.CompletedProcess[str]):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error made for a person."""
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert len(lines[0]) < 1000
    return lines[0]


@pytest.fixture(scope="module")
def here(demo_home: Path) -> Path:
    """A workspace that is only read."""
    return demo_home


def photograph(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def verbs_of(listing: str) -> set[str]:
    """The verbs that ``--help`` lists."""
    return set(re.findall(r"^  ([a-z]+)  ", listing.partition("Commands:")[2], re.MULTILINE))


def test_help_lists_every_verb_and_each_verb_has_its_own():
    listing = bloodcell("--help")
    assert listing.returncode == 0
    assert listing.stderr == ""
    listed = verbs_of(listing.stdout)
    assert listed >= VERBS
    # In one process: what is tested is the text, not the starting of Python.
    code = (
        "import sys, io, contextlib\n"
        "from bloodcell.cli import app\n"
        f"for verb in {sorted(listed)!r}:\n"
        "    said = io.StringIO()\n"
        "    with contextlib.redirect_stdout(said):\n"
        "        code = app([verb, '--help'], standalone_mode=False)\n"
        "    assert not code, (verb, code)\n"
        "    print(verb, '--json' in said.getvalue(), len(said.getvalue()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert {row[0] for row in rows} == listed
    for verb, has_json, length in rows:
        assert has_json == "True", verb
        assert int(length) > 100


def test_the_readme_names_no_verb_that_there_is_not():
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    table = [line.replace("\\|", "/").split("|") for line in lines if line.startswith("| ")]
    named = {verb for row in table for verb in re.findall(r"`([a-z]+) ", row[-2])}
    assert len(named) > 15
    assert named <= verbs_of(bloodcell("--help").stdout)


def test_version_and_no_arguments():
    assert bloodcell("--version").stdout == f"{__version__}\n"
    bare = bloodcell()
    assert bare.returncode == 0
    assert "Usage" in bare.stdout


REFUSED = [
    (["fly"], "fly"),
    (["demo", "--per-class", "many"], "--per-class"),
    (["demo", "--name", "../x"], "'../x' cannot be the name"),
    (["demo", "--name", "demo"], "'demo' is taken"),
    (["demo", "--name", "x", "--per-class", "0"], "0"),
    (["import", "/nowhere/at/all", "--name", "x"], "/nowhere/at/all"),
    (["import", "README.md", "--name", "x"], "README.md"),
    (["import", "README.md"], "--name"),
    (["download", "imagenet"], "expected bloodmnist"),
    (["audit", "absent"], "there are demo"),
    (["exclude", "demo", "--findings", "ugly"], "'ugly'"),
    (["exclude", "demo", "--findings", ""], "No kind of finding"),
    (["decisions", "demo", "--export", "."], "is a folder"),
    (["train", "--dataset", "absent"], "absent"),
    (["train", "--dataset", "demo", "--backbone", "vgg16"], "mobilenetv2"),
    (["train", "--dataset", "demo", "--epochs", "0"], "epochs"),
    (["train", "--dataset", "demo", "--weights", "absent.h5"], "absent.h5"),
    (["train", "--dataset", "demo", "--weights", "README.md"], "README.md"),
    (["stop", "absent"], "absent"),
    (["resume", "absent"], "absent"),
    (["ensemble", "absent", "--name", "x"], "absent"),
    (["evaluate", "absent", "--dataset", "demo"], "absent"),
    (["evaluate", "x", "--dataset", "demo", "--part", "half"], "half"),
    (["classify", "absent", "README.md"], "absent"),
    (["classify", "pyproject.toml", "README.md"], "pyproject.toml"),
    (["--home"], "--home"),
]


@pytest.fixture(scope="module")
def refusals(here: Path) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each of REFUSED, one after the other in one process."""
    code = f"""
import contextlib, io, json, sys
from bloodcell.cli import main
found = []
for arguments in {[a for a, _ in REFUSED]!r}:
    sys.argv = ["bloodcell", "--home", {str(here)!r}, *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = None
        except SystemExit as end:
            code = end.code
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "case", range(len(REFUSED)), ids=[" ".join(arguments) for arguments, _ in REFUSED]
)
def test_wrong_input_is_one_line_and_exit_code_2(refusals, case: int):
    done = subprocess.CompletedProcess([], *refusals[case])
    assert REFUSED[case][1] in sentence(done)


@pytest.mark.parametrize("arguments", [["fly"], ["classify", "absent", "README.md"]])
def test_so_it_is_in_a_process_of_its_own(here: Path, arguments: list[str]):
    assert sentence(bloodcell(*arguments, home=here))


def test_what_a_library_says_on_several_lines_is_one(tmp_path: Path):
    make_demo(Workspace(tmp_path), "demo", per_class=1, size=28)
    items = tmp_path / "datasets" / "demo" / "items.csv"
    items.write_text(items.read_text() + "8,a,b,c,d,e,f\n")
    assert str(items) in sentence(bloodcell("split", "demo", home=tmp_path))


def test_a_home_that_is_a_file_is_no_traceback(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    done = bloodcell("demo", "--name", "x", home=tmp_path / "file")
    assert "Traceback" not in done.stderr
    assert sentence(done)
    assert "is a file" in sentence(bloodcell("runs", home=tmp_path / "file"))


def test_the_home_can_come_from_the_environment(here: Path):
    (found,) = document(bloodcell("datasets", "--json", BLOODCELL_HOME=str(here)))
    assert found["name"] == "demo"


def test_an_empty_workspace_is_no_error(tmp_path: Path):
    assert document(bloodcell("runs", "--json", home=tmp_path)) == []
    assert document(bloodcell("datasets", "--json", home=tmp_path)) == []


def test_audit_and_exclude(tmp_path: Path):
    made = document(
        bloodcell("demo", "--name", "d", "--per-class", 6, "--size", 32, "--faults", "--json",
                  home=tmp_path)
    )  # fmt: skip
    before = document(bloodcell("audit", "d", "--json", home=tmp_path))
    assert before["n"] == made["n"]
    planted = json.loads((tmp_path / "datasets" / "d" / "dataset.json").read_text())["planted"]
    kinds = {"exact_duplicate", "conflicting_label"}
    found = {
        f["index"] for f in before["findings"] if f["kind"] in kinds and f["suggested"] == "exclude"
    }
    assert set(planted["copies"]) <= found
    assert set(planted["conflicting"]) <= found
    done = document(
        bloodcell("exclude", "d", "--findings", ",".join(sorted(kinds)), "--json", home=tmp_path)
    )
    assert sum(done["excluded"].values()) == len(found)
    assert done["kept"] == made["n"] - len(found)
    after = document(bloodcell("audit", "d", "--json", home=tmp_path))
    assert not [f for f in after["findings"] if f["kind"] in kinds]


def test_from_drawn_cells_to_an_answer(tmp_path: Path):
    """The whole chain, each step in a process of its own, each with --json."""
    home = tmp_path / "home"
    made = document(bloodcell("demo", "--per-class", 20, "--size", 48, "--json", home=home))
    assert made["n"] == 160
    trained = bloodcell(
        "train", "--dataset", "demo", "--backbone", "tiny", "--input-size", 48, "--epochs", 2,
        "--batch-size", 8, "--learning-rate", 0.003, "--json", home=home,
    )  # fmt: skip
    run = document(trained)
    assert run["state"] == "finished"
    assert "Traceback" not in trained.stderr
    assert "WARNING" not in trained.stderr
    (row,) = document(bloodcell("runs", "--json", home=home))
    assert row["id"] == run["id"]
    assert (row["state"], row["epoch"], row["epochs"]) == ("finished", 2, 2)
    assert 0 <= row["val_accuracy"] <= 1
    made = document(bloodcell("ensemble", run["id"], "--name", "first", "--json", home=home))
    assert Path(made["path"]).is_dir()
    assert Path(made["zip"]).is_file()
    judged = document(bloodcell("evaluate", "first", "--dataset", "demo", "--json", home=home))
    assert judged["n"] == 16
    assert np.array(judged["confusion_matrix"]).sum() == 16
    demo = open_dataset(Workspace(home), "demo")
    cell = photograph(tmp_path / "cell ä.png", demo.images[3])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    done = bloodcell("classify", made["zip"], cell, broken, tmp_path / "gone.png", "--json",
                     home=tmp_path / "elsewhere")  # fmt: skip
    answers = document(done)
    assert [a["file"] for a in answers] == [str(cell), str(broken), str(tmp_path / "gone.png")]
    good, *bad = answers
    assert set(good) == {
        "file", "label", "probability", "probabilities", "prediction_set", "recognised", "novelty",
    }  # fmt: skip
    assert list(good["probabilities"]) == list(CLASS_NAMES)
    assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert good["probability"] == max(good["probabilities"].values())
    assert good["probabilities"][good["label"]] == good["probability"]
    assert all(set(b) == {"file", "error"} for b in bad)


@pytest.fixture(scope="module")
def photographs(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three images and one file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    demo = open_dataset(Workspace(demo_home), "demo")
    for i in range(3):
        photograph(folder / f"{i}.png", demo.images[i])
    (folder / "notes.txt").write_text("hello")
    return folder


def test_csv_and_json_say_the_same(trained_home: Path, photographs: Path):
    rows = document(bloodcell("classify", "first", photographs, "--json", home=trained_home))
    text = bloodcell("classify", "first", photographs, "--csv", home=trained_home)
    assert text.returncode == 0
    table = list(csv.DictReader(io.StringIO(text.stdout)))
    assert [r["file"] for r in table] == [r["file"] for r in rows]
    for flat, row in zip(table, rows, strict=True):
        if "error" in row:
            assert flat["error"] == row["error"]
        else:
            assert flat["label"] == row["label"]
            assert float(flat["novelty"]) == pytest.approx(row["novelty"])
            assert flat["prediction_set"].split() == row["prediction_set"]


def test_if_no_file_can_be_read_the_exit_code_says_so(trained_home: Path, photographs: Path):
    done = bloodcell("classify", "first", photographs / "notes.txt", "--json", home=trained_home)
    assert done.returncode == 2
    (row,) = json.loads(done.stdout)
    assert "notes.txt" in row["error"]
    assert "Traceback" not in done.stderr


def test_classify_never_imports_tensorflow(trained_home: Path, photographs: Path):
    code = f"""
import sys
sys.argv = ["bloodcell", "--home", {str(trained_home)!r}, "classify", "first",
            {str(photographs / "0.png")!r}, "--json"]
from bloodcell.cli import main
try:
    main()
except SystemExit as end:
    heavy = {{"tensorflow", "keras", "streamlit", "plotly"}} & set(sys.modules)
    sys.exit(f"imported {{heavy}}" if heavy else end.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["label"] in CLASS_NAMES


def test_without_a_connection_training_says_how_to_give_the_weights(
    demo_copy: Path, tmp_path: Path
):
    """A closed port on this machine stands for a network without the internet."""
    nowhere = dict.fromkeys(("https_proxy", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = bloodcell(
        "train", "--dataset", "demo", "--backbone", "mobilenetv2", "--json",
        home=demo_copy, KERAS_HOME=str(tmp_path), **nowhere,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "--weights" in last
    (row,) = document(bloodcell("runs", "--json", home=demo_copy))
    assert row["state"] == "failed"
    assert "--weights" in row["reason"]


def test_a_damaged_run_is_named_beside_the_list(demo_copy: Path):
    (demo_copy / "runs" / "broken").mkdir(parents=True)
    done = bloodcell("runs", "--json", home=demo_copy)
    assert document(done) == []
    assert "broken" in done.stderr


def test_one_damaged_dataset_does_not_hide_the_others(demo_copy: Path):
    (demo_copy / "datasets" / "broken").mkdir()
    sound, damaged = sorted(
        document(bloodcell("datasets", "--json", home=demo_copy)), key=lambda d: "error" in d
    )
    assert sound["name"] == "demo"
    assert damaged["name"] == "broken"
    assert "dataset.json" in damaged["error"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_name_that_the_output_cannot_hold_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    arguments = ["bloodcell", "--home", str(tmp_path), "import", "\u7ec6\udc80.zip", "--name", "x"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    show({"file": "\u7ec6\u20ac"}, True, "")
    for stream in streams.values():
        stream.flush()
    written = streams["stdout"].buffer.getvalue().decode(encoding)
    assert ended.value.code == 2
    assert b"no file or folder" in streams["stderr"].buffer.getvalue()
    assert json.loads(written)["file"] == "\u7ec6\u20ac"
