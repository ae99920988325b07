"""Importing TensorFlow costs ten seconds: no page does it."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = ("classify", "dataset", "augmentation", "training", "evaluation", "smear", "verification")
PAINT = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=120).run()
for name in {PAGES[1:]}:
    assert not app.exception, app.exception[0].message
    app.switch_page(f"pages/{{name}}.py").run()
assert not app.exception, app.exception[0].message
heavy = [name for name in ("tensorflow", "keras", "keras_cv", "torch") if name in sys.modules]
print(app.title[0].value, heavy)
"""


def test_no_page_imports_tensorflow(trained_home: Path):
    done = subprocess.run(
        [sys.executable, "-c", PAINT],
        cwd=REPOSITORY,
        env={**os.environ, "BLOODCELL_HOME": str(trained_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[0] == f"{PAGES[-1].capitalize()} []"


def test_every_page_is_looked_at():
    assert {p.stem for p in (REPOSITORY / "pages").glob("*.py")} == set(PAGES)
