"""Save, delete, restore, export and import a policy, and train with it."""

import json

import streamlit as st

from bloodcell.augment import (
    PRESETS,
    Policy,
    policy_from_json,
    policy_names,
    policy_to_json,
    save_policy,
)
from bloodcell.errors import BadInput, BloodCellError
from bloodcell.files import decoded
from bloodcell.trash import delete, restore
from bloodcell.ui.augmentation.editor import (
    CHOICE,
    UNSAVED,
    find_saved_name,
    is_kept,
    load_named,
    load_policy,
    loaded_policy,
    read_policy,
)
from bloodcell.ui.common.state import workspace
from bloodcell.ui.common.uploads import drop_zone, dropped

__all__ = ["draw_save"]

MOST_MIB = 1
NOTE = "policy_note"


def _set_note(kind: str, text: str) -> None:
    """Keep a message of a callback for the script run that follows."""
    st.session_state[NOTE] = (kind, text)


def _show_note() -> None:
    kind, text = st.session_state.pop(NOTE, ("", ""))
    if kind == "error":
        st.error(text, icon=":material/error:")
    elif kind:
        st.success(text, icon=":material/check_circle:")


def _save() -> None:
    # A name that was typed right before the click is in the state, but not in the last run.
    name = st.session_state["policy_name"].strip()
    replace: bool | Policy = bool(st.session_state.get("policy_replace"))
    if replace and is_kept(name):
        # What another visitor has made of it since is not written over unseen.
        replace = loaded_policy()
    try:
        save_policy(workspace(), read_policy(name), replace=replace)
    except BloodCellError as error:
        _set_note("error", str(error))
        return
    load_named(name)
    st.session_state[CHOICE] = name
    _set_note("done", f"Saved as {name}. It can be selected on the Training page.")


def _delete(name: str) -> None:
    try:
        deleted = delete(workspace(), "policies", name)
    except BloodCellError as error:
        _set_note("error", str(error))
        return
    st.session_state["policy_deleted"] = deleted
    # What is in the editor stays, so that nothing seen is lost by a wrong click.
    _set_note(
        "done", f"Deleted {name}. Its steps stay in the editor until another policy is selected."
    )


def _restore() -> None:
    try:
        deleted = st.session_state.pop("policy_deleted")
        restore(workspace(), deleted)
    except BloodCellError as error:
        _set_note("error", str(error))
        return
    load_named(deleted.name)
    st.session_state[CHOICE] = deleted.name
    _set_note("done", f"Restored {deleted.name}.")


def _import() -> None:
    files = dropped("policy_upload")
    if not files:
        return
    file = files[0]
    try:
        document = json.loads(decoded(file.getvalue()))
        policy = policy_from_json(document, file.name)
    except (ValueError, RecursionError) as error:
        _set_note(
            "error", f"{file.name} is not readable as JSON ({error}): export the policy again."
        )
        return
    except BadInput as error:
        _set_note("error", str(error))
        return
    load_policy(policy)
    st.session_state["policy_name"] = policy.name
    steps = "1 step" if len(policy.steps) == 1 else f"{len(policy.steps)} steps"
    _set_note(
        "done", f"Imported {file.name} with {steps} into the editor. Save it to train with it."
    )


def draw_save() -> None:
    """Draw what can be done with the policy in the editor."""
    st.subheader("Save", anchor=False)
    names = policy_names(workspace())
    at_first = loaded_policy()
    proposed = UNSAVED if at_first.name in PRESETS else at_first.name
    name = st.text_input("Name", proposed, key="policy_name").strip()
    taken = name in names and name not in PRESETS
    if taken:
        st.checkbox(f"Overwrite the saved policy {name}", key="policy_replace")
    policy = read_policy(name or UNSAVED)
    with st.container(horizontal=True):
        st.button("Save", type="primary", icon=":material/save:", on_click=_save)
        st.download_button(
            "Export (JSON)",
            json.dumps(policy_to_json(policy), indent=1),
            file_name=f"{name or UNSAVED}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        if taken:
            st.button(
                f"Delete {name}",
                icon=":material/delete:",
                key="policy_delete",
                on_click=_delete,
                args=(name,),
            )
        if "policy_deleted" in st.session_state:
            st.button("Restore", icon=":material/undo:", on_click=_restore)
    _show_note()
    if len(policy.steps) < len(read_policy(with_off=True).steps):
        st.caption("Steps that are switched off are not saved.")
    ready = find_saved_name()
    st.page_link(
        "pages/training.py",
        label=f"Train with {ready}" if ready else "Save the policy to train with it",
        icon=":material/model_training:",
        query_params={"policy": ready} if ready else None,
        disabled=ready is None,
    )
    with st.expander("Import", icon=":material/upload:"):
        drop_zone(
            "Policy file (JSON), exported from this page",
            type=["json"],
            max_upload_size=MOST_MIB,
            key="policy_upload",
            on_change=_import,
        )
