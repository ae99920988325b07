"""Import images: upload a file, name a path, create the demo, download BloodMNIST."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from bloodcell.classes import LABELS
from bloodcell.data.readers.download import BLOODMNIST, RECORD, download_bloodmnist
from bloodcell.data.readers.manifest import Given
from bloodcell.data.readers.names import SKIP, UnknownNames
from bloodcell.data.readers.source import import_source
from bloodcell.data.store.dataset import GROUPS, Dataset
from bloodcell.data.synthetic.demo import Faults, make_demo
from bloodcell.errors import BadInput
from bloodcell.files import sweep_leftovers, temporary_beside
from bloodcell.progress import Progress
from bloodcell.ui.common.errors import show_errors
from bloodcell.ui.common.format import plain
from bloodcell.ui.common.import_job import begin_import, free_name
from bloodcell.ui.common.jobs import current_job
from bloodcell.ui.common.uploads import drop_zone
from bloodcell.workspace import Workspace

__all__ = ["show_import_form"]

CHUNK_BYTES = 4 * 2**20
LEAVE_OUT = "Leave out"
PLANTED = Faults(copies=8, conflicting=4, repeated=12, foreign=8, wrong_labels=8)


def _ask_options(key: str) -> dict[str, Any]:
    with st.expander("Advanced: crop, size, broken files, parts, depth"):
        left, right = st.columns(2)
        size = left.number_input(
            "Image size, pixels",
            8,
            1024,
            value=None,
            key=f"{key}_size",
            placeholder="unchanged up to 256, else 96",
            help="All images of a dataset are squares of this size.",
        )
        crop = right.number_input(
            "Centre crop, pixels",
            8,
            1024,
            value=None,
            key=f"{key}_crop",
            placeholder="largest square",
            help="Cropped before resizing. For photographs of 360×363 pixels, 200 keeps one cell.",
        )
        skip = st.checkbox(
            "Skip files that cannot be decoded, instead of stopping at the first",
            key=f"{key}_skip",
        )
        laboratory = left.text_input(
            "Laboratory",
            key=f"{key}_laboratory",
            max_chars=60,
            help="Where all the cells come from, if nothing else says it.",
        )
        level = right.selectbox(
            "Folders above a class are",
            ["", *GROUPS],
            format_func=lambda name: name or "nothing in particular",
            key=f"{key}_level",
            help="A manifest.csv beside the images (file, label, laboratory, slide, patient, "
            "reader) says it of each image.",
        )
        parts = st.checkbox(
            "Keep the parts (train, validation, test) that the source gives",
            value=True,
            key=f"{key}_parts",
        )
        depth = st.number_input(
            "Bits used in image files of 16",
            9,
            16,
            value=None,
            key=f"{key}_depth",
            placeholder="as the file says",
            help="For photographs that come in nearly black: 10, 12 or 14.",
        )
    return {
        "size": size,
        "crop": crop,
        "skip_broken": skip,
        "given": Given(laboratory.strip(), level),
        "parts": parts,
        "depth": depth,
    }


def _ask_names(key: str, source: str) -> list[str]:
    """What names of the source mean that an import of it did not know; as for ``--map``."""
    found: dict[str, Any] = st.session_state.get(f"{key}_unknown", {})
    if found.get("source") != source or not found["names"]:
        return []
    st.markdown("**What do these hold?** They are none of the eight classes by name.")
    meanings = {LEAVE_OUT: SKIP, **{label.title: label.name for label in LABELS}}
    mapped = []
    for at, (name, n) in enumerate(found["names"].items()):
        images = "1 image" if n == 1 else f"{n:,} images"
        meant = st.selectbox(
            f"{plain(name)}, {images}", list(meanings), key=f"{key}_names_{source}_{at}"
        )
        mapped.append(f"{name}={meanings[meant]}")
    st.caption("Import again to take them so.")
    return mapped


def _noting_names(
    key: str, source: str, mapped: list[str], work: Callable[[Workspace, Progress], Dataset]
) -> Callable[[Workspace, Progress], Dataset]:
    """`work`, which leaves the names that it did not know to :func:`_ask_names`."""
    known = st.session_state.get(f"{key}_unknown", {})
    names = dict(known["names"]) if mapped and known.get("source") == source else {}
    # Written by the job's thread, which has no session.
    found = st.session_state[f"{key}_unknown"] = {"source": source, "names": names}

    def noting(home: Workspace, progress: Progress) -> Dataset:
        try:
            return work(home, progress)
        except UnknownNames as error:
            found["names"] |= error.names
            raise

    return noting


def _copy(source: BinaryIO, size: int, target: Path, progress: Progress) -> None:
    done = 0
    source.seek(0)
    with target.open("wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            progress(done, size, "bytes")


def _import_upload(
    home: Workspace, upload: Any, name: str, options: dict[str, Any], progress: Progress
) -> Dataset:
    """Import an uploaded file by way of a temporary one, which is gone afterwards."""
    home.downloads.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(home.downloads)
    folder = temporary_beside(home.downloads / "upload")
    folder.mkdir()
    try:
        file = folder / (Path(upload.name).name or "upload")
        _copy(upload, upload.size, file, progress)
        return import_source(home, file, name, progress=progress, **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show_upload() -> None:
    files = drop_zone(
        "An .npz with images and labels (also MedMNIST), or a .zip with one folder per class",
        type=["npz", "zip"],
        key="import_upload",
    )
    if not files:
        st.caption(
            "Folders may have English class names or the usual abbreviations (BA, EO, ERB, IG, LY, "
            "MO, NE, PL; SNE, LYT, MMY and the like). What else is there is asked for. Nothing "
            "leaves this server."
        )
        return
    upload = files[0]
    name = st.text_input(
        "Name", free_name(Path(upload.name).stem), key=f"import_upload_name_{upload.file_id}"
    )
    options = _ask_options("import_upload")
    options["mapped"] = _ask_names("import_upload", upload.file_id)
    if st.button("Import", type="primary", key="import_upload_go"):

        def work(home: Workspace, progress: Progress) -> Dataset:
            return _import_upload(home, upload, name, options, progress)

        noting = _noting_names("import_upload", upload.file_id, options["mapped"], work)
        begin_import(f"Importing {upload.name}", name, noting)


def _show_path() -> None:
    path = st.text_input(
        "Path of a folder, .zip or .npz on the server",
        key="import_path",
        placeholder="for example ~/cells",
    )
    name = st.text_input(
        "Name", free_name(Path(path).stem) if path else "", key=f"import_path_name_{path}"
    )
    options = _ask_options("import_path")
    options["mapped"] = _ask_names("import_path", path)
    if st.button("Import", type="primary", key="import_path_go"):
        with show_errors():
            if not path.strip():
                raise BadInput(
                    "No path is given: type where the folder, .zip or .npz is on this server."
                )

            def work(home: Workspace, progress: Progress) -> Dataset:
                return import_source(home, path.strip(), name, progress=progress, **options)

            noting = _noting_names("import_path", path, options["mapped"], work)
            begin_import(f"Importing {Path(path).name}", name, noting)


def _show_demo() -> None:
    st.markdown(
        "Synthetic cells, drawn by the program, to try every page without data of your own. They "
        "resemble the eight classes, but nothing learned on them holds for real blood."
    )
    left, middle, right = st.columns(3)
    per_class = left.number_input("Images per class", 4, 5000, 60, key="import_demo_n")
    size = middle.number_input("Image size, pixels", 32, 256, 96, key="import_demo_size")
    seed = right.number_input("Seed", 0, 2**31 - 1, 0, key="import_demo_seed")
    faults = st.toggle(
        "Add duplicates, foreign pictures and wrong labels to try the findings",
        value=True,
        key="import_demo_faults",
    )
    name = st.text_input("Name", free_name("demo"), key="import_demo_name")
    if st.button("Create", type="primary", key="import_demo_go"):
        begin_import(
            f"Creating {name}",
            name,
            lambda home, progress: make_demo(
                home,
                name,
                per_class=int(per_class),
                size=int(size),
                seed=int(seed),
                faults=PLANTED if faults else None,
                progress=progress,
            ),
        )


def _download_and_import(home: Workspace, size: int, name: str, progress: Progress) -> Dataset:
    file = download_bloodmnist(home, size, progress=progress)
    return import_source(home, file, name, progress=progress)


def _show_download() -> None:
    st.markdown(
        f"BloodMNIST, 17,092 photographs with the parts its authors chose, from "
        f"[its official record]({RECORD}) (Yang et al. 2023, CC BY 4.0; photographs by Acevedo "
        "et al. 2020). An interrupted download is resumed."
    )
    size = st.segmented_control(
        "Image size, pixels",
        list(BLOODMNIST),
        default=64,
        required=True,
        key="import_download_size",
        help="28 is quick and coarse; 224 is more than a gigabyte.",
    )
    name = st.text_input("Name", free_name(f"bloodmnist-{size}"), key=f"import_dl_name_{size}")
    if st.button("Download", type="primary", key="import_download_go"):
        begin_import(
            "Downloading BloodMNIST",
            name,
            lambda home, progress: _download_and_import(home, int(size), name, progress),
        )


def show_import_form() -> None:
    """The four ways to make a dataset, each with its form."""
    job = current_job()
    if job is not None and job.running:
        st.info(f"{job.title} is running. Its progress is at the top of this page.")
        return
    ways = {
        ":material/upload_file: Upload": _show_upload,
        ":material/folder_open: Server path": _show_path,
        ":material/draw: Demo": _show_demo,
        ":material/download: BloodMNIST": _show_download,
    }
    tabs = st.tabs(list(ways), key="import_way", on_change="rerun")
    for tab, show in zip(tabs, ways.values(), strict=True):
        if tab.open:
            with tab:
                show()
