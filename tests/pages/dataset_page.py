"""What the tests of the Dataset page share."""

import json
from pathlib import Path

from streamlit.testing.v1 import AppTest

from bloodcell.data.store.dataset import Dataset, open_dataset
from bloodcell.ui.common.jobs import current_job
from bloodcell.workspace import Workspace


def button(app: AppTest, label: str):
    exact = [b for b in app.button if b.label == label]
    return exact[0] if exact else next(b for b in app.button if b.label.startswith(label))


def widget(widgets, label: str):
    return next(w for w in widgets if w.label == label)


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def gallery_ids(app: AppTest, key: str) -> list[int]:
    """The ids of the pictures that a gallery shows."""
    element = next(e for e in app.get("bidi_component") if key in e.proto.id)
    return [p["id"] for p in json.loads(element.proto.json)["pictures"]]


def finish_job(app: AppTest) -> AppTest:
    job = current_job()
    assert job is not None
    job.wait(60)
    return app.run()


def named(home: Path, name: str) -> Dataset:
    return open_dataset(Workspace(home), name)
