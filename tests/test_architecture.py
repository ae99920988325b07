"""The rules of the house, read from the source itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CORE = sorted((REPOSITORY / "bloodcell").rglob("*.py"))
PAGES = [REPOSITORY / "app.py", *sorted((REPOSITORY / "pages").glob("*.py"))]
ALL = [*CORE, *PAGES]

# What each part may import, besides itself and the ground everything stands on. In the order
# of docs/architecture.md: nothing below imports anything above.
GROUND = {
    "classes",
    "csv_files",
    "errors",
    "files",
    "locks",
    "workspace",
    "progress",
    "quiet",
    "people",
}
MAY_IMPORT = {
    "augment": set(),
    "data": {"augment"},
    "models": {"data"},
    # An epoch is judged, and an ensemble measured, with the evaluation's own pure formulas.
    "training": {"data", "augment", "models", "evaluation"},
    "runs": {"data", "augment", "models", "training"},
    "ensemble": {"data", "augment", "models", "runs", "evaluation"},
    "evaluation": {"data", "ensemble", "runs"},
    "agreement": {"data", "evaluation"},
    "explain": {"data", "models", "ensemble", "evaluation"},
    "audit": {"data", "ensemble"},
    "trash": {"augment", "runs"},
    "smear": {"data", "ensemble", "evaluation"},
    "figures": {
        "data", "augment", "models", "training", "runs", "ensemble", "evaluation", "explain",
        "audit", "agreement", "smear",
    },
    "ui": {
        "data", "augment", "models", "training", "runs", "ensemble", "evaluation", "explain",
        "audit", "agreement", "figures", "trash", "smear",
    },
    "verbs": {
        "data", "augment", "models", "training", "runs", "ensemble", "evaluation", "explain",
        "audit", "agreement", "figures", "trash", "smear",
    },
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names that a file imports; with `top_level` only those outside functions."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if top_level and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.Import):
                found.update(a.name for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name_of(path)} has a relative import"
                found.add(child.module)
                found.update(f"{child.module}.{a.name}" for a in child.names)
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found


def packages(path: Path, **how) -> set[str]:
    """First parts of what a file imports."""
    return {name.split(".")[0] for name in imports(path, **how)}


def own_parts(path: Path) -> set[str]:
    """Which parts of bloodcell a file imports."""
    names = (n.split(".") for n in imports(path) if n.startswith("bloodcell."))
    return {parts[1] for parts in names}


def part_of(path: Path) -> str:
    inside = path.relative_to(REPOSITORY / "bloodcell").parts
    return inside[0] if len(inside) > 1 else path.stem


def test_there_is_something_to_read():
    assert len(CORE) > 30
    assert len(PAGES) > 2


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_imports_run_one_way(path: Path):
    part = part_of(path)
    if part in MAY_IMPORT:
        allowed = MAY_IMPORT[part] | GROUND | {part, "__version__"}
        assert own_parts(path) <= allowed
    elif part in GROUND:
        assert own_parts(path) <= GROUND
    else:
        assert part in {"__init__", "__main__", "cli"}, "say in MAY_IMPORT what it may import"


UI = [p for p in CORE if part_of(p) == "ui" and p.name != "__init__.py"]


@pytest.mark.parametrize("path", [*UI, *PAGES], ids=name_of)
def test_a_page_imports_its_own_room_and_what_all_share(path: Path):
    room = (
        path.parent.relative_to(REPOSITORY / "bloodcell" / "ui").parts[0]
        if path in UI
        else (path.stem)
    )
    rooms = {n.split(".")[2] for n in imports(path) if n.startswith("bloodcell.ui.")}
    assert rooms <= {room, "common"}


@pytest.mark.parametrize("path", [p for p in CORE if part_of(p) != "ui"], ids=name_of)
def test_streamlit_stays_in_the_pages_and_what_they_share(path: Path):
    assert "streamlit" not in packages(path)


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_tensorflow_is_imported_where_it_is_needed_and_nowhere_else(path: Path):
    heavy = {"tensorflow", "keras", "keras_cv"}
    assert not heavy & packages(path, top_level=True)
    if name_of(path) != "bloodcell/data/pipeline.py" and (
        path in PAGES or part_of(path) not in ("augment", "models", "training")
    ):
        assert not heavy & packages(path)


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_keras_cv_is_imported_by_the_second_engine_alone(path: Path):
    engine = name_of(path) == "bloodcell/augment/keras_cv_engine.py"
    assert ("keras_cv" in packages(path)) == engine


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_a_file_says_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "path", [p for p in CORE if p.name not in ("__main__.py", "__init__.py")], ids=name_of
)
def test_a_module_lists_its_public_names_and_has_them(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert "__all__" in assigned
    defined = set(assigned) | {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            defined |= {a.asname or a.name for a in node.names}
    assert set(ast.literal_eval(assigned["__all__"])) <= defined


def modules_after(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_command_line_is_light():
    found = modules_after("import bloodcell.cli")
    heavy = {"tensorflow", "keras", "streamlit", "plotly", "sklearn", "ai_edge_litert"}
    assert not heavy & found


def test_using_a_model_needs_no_tensorflow():
    found = modules_after(
        "import bloodcell.ensemble.classify, bloodcell.ensemble.compose, "
        "bloodcell.evaluation.evaluate, bloodcell.runs.launch, bloodcell.audit"
    )
    assert "bloodcell.ensemble.classify" in found
    assert not {"tensorflow", "keras", "streamlit", "plotly"} & found
