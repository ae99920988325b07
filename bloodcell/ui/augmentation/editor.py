"""The editor of a policy, made from the catalogue's declarations."""

from dataclasses import dataclass, field

import streamlit as st

from bloodcell.augment import (
    CATALOGUE,
    PRESETS,
    Augmentation,
    Parameter,
    Policy,
    Step,
    find_policy,
    policy_names,
)
from bloodcell.errors import NotFound
from bloodcell.ui.common.errors import attempt, show_problem
from bloodcell.ui.common.state import workspace

__all__ = [
    "CHOICE",
    "UNSAVED",
    "draw_policy_choice",
    "draw_steps",
    "find_saved_name",
    "is_changed",
    "is_kept",
    "list_step_titles",
    "load_named",
    "load_policy",
    "loaded_policy",
    "read_policy",
]

UNSAVED = "my-policy"
FIRST = "gentle"
CHOICE = "policy_choice"
STEPS = "policy_steps"
LOADED = "policy_loaded"
KEPT = "policy_kept"
GROUPS = {
    "geometry": "Geometry",
    "colour": "Colour",
    "texture": "Texture",
    "chains": "Chains",
    "mixing": "Mixing",
}

# A switch stands level with the head of its step, open or closed.
_ROW_STYLE = """<style>
[class*="st-key-step_"][class*="_row"] [data-testid="stCheckbox"] { padding-top: 0.45rem; }
</style>"""


@dataclass
class EditedStep:
    """A step as edited on the page: with an id of its own and a switch."""

    number: int
    key: str
    on: bool = True
    probability: float = 1.0
    parameters: dict[str, float | int | bool] = field(default_factory=dict)

    def widget(self, name: str) -> str:
        """The key of its widget for `name`."""
        return f"step_{self.number}_{name}"


def _next_number() -> int:
    st.session_state["step_counter"] = st.session_state.get("step_counter", 0) + 1
    return st.session_state["step_counter"]


def _editable(step: Step) -> EditedStep:
    parameters = CATALOGUE[step.key].defaults() | step.parameters
    return EditedStep(_next_number(), step.key, True, step.probability, parameters)


def load_policy(policy: Policy, *, kept: bool = False) -> None:
    """Load a policy into the editor, in place of what is there.

    Args:
        kept: whether it is a preset or saved under its name.
    """
    st.session_state[STEPS] = [_editable(s) for s in policy.steps]
    st.session_state[LOADED] = policy
    st.session_state[KEPT] = kept


def load_named(name: str) -> None:
    """Load the policy `name` into the editor; if there is none, keep the editor and report it."""

    def load() -> None:
        # A name and no path: an address must not open a file anywhere on the server.
        if name not in policy_names(workspace()):
            raise NotFound(f"There is no augmentation policy {name!r} in this workspace.")
        load_policy(find_policy(workspace(), name), kept=True)

    attempt("policy_problem", load)


def loaded_policy() -> Policy:
    """The policy that was loaded last, unedited."""
    _steps()
    return st.session_state[LOADED]


def is_changed() -> bool:
    """Whether the loaded policy was edited."""
    return read_policy(loaded_policy().name) != loaded_policy()


def is_kept(name: str) -> bool:
    """Whether the policy in the editor was loaded from the one that is saved as `name`."""
    return bool(st.session_state[KEPT]) and loaded_policy().name == name


def find_saved_name() -> str | None:
    """The name under which training finds exactly what is in the editor, or None."""
    name = loaded_policy().name
    kept = st.session_state[KEPT] and name in policy_names(workspace())
    return name if kept and not is_changed() else None


def _steps() -> list[EditedStep]:
    if STEPS not in st.session_state:
        load_policy(PRESETS[FIRST], kept=True)
        if wanted := st.query_params.get("policy"):
            load_named(wanted)
    return st.session_state[STEPS]


def read_policy(name: str = UNSAVED, *, with_off: bool = False) -> Policy:
    """What the editor holds.

    Args:
        with_off: whether steps that are switched off are kept, with probability 0, so that the
            numbers of steps are those on the page.
    """
    steps = [
        Step(s.key, s.probability if s.on else 0.0, dict(s.parameters))
        for s in _steps()
        if s.on or with_off
    ]
    return Policy(name, tuple(steps), loaded_policy().stains)


def draw_policy_choice() -> None:
    """Draw the choice of presets and saved policies; it replaces what is in the editor."""
    for step in _steps():
        _read_widgets(step)
    names, at_first = policy_names(workspace()), loaded_policy()
    # A policy that was imported or deleted is in the editor, but not among the saved ones.
    kept = st.session_state[KEPT] and at_first.name in names
    if not kept:
        st.session_state[CHOICE] = None
    elif st.session_state.get(CHOICE) not in names:
        st.session_state[CHOICE] = at_first.name
    st.selectbox(
        "Policy",
        names,
        index=None,
        key=CHOICE,
        placeholder=f"{at_first.name} (not saved)",
        on_change=lambda: st.session_state[CHOICE] and load_named(st.session_state[CHOICE]),
        help="Presets first, then the policies saved in this workspace.",
    )
    # Always one element each, empty or not: what came and went would move the steps below it to
    # other places, and a slider in use would lose the keyboard's focus.
    with st.container():
        show_problem("policy_problem")
    with st.container(horizontal=True, vertical_alignment="center"):
        if is_changed():
            st.caption(f"{at_first.name} was edited.")
            st.button(
                "Discard changes",
                type="tertiary",
                icon=":material/undo:",
                on_click=load_policy,
                args=(at_first,),
                kwargs={"kept": kept},
            )


def list_step_titles() -> list[str]:
    """ "3. Random zoom" for each step, those that are off included."""
    return [f"{i}. {CATALOGUE[s.key].title}" for i, s in enumerate(_steps(), 1)]


def _read_widgets(step: EditedStep) -> None:
    """Take over what was just set by a widget, before it is drawn again."""
    step.on = st.session_state.get(step.widget("on"), step.on)
    for p in CATALOGUE[step.key].parameters:
        step.parameters[p.key] = st.session_state.get(step.widget(p.key), step.parameters[p.key])
    share = st.session_state.get(step.widget("probability"))
    # A share that no slider can show, as in a file, stays until it is moved.
    if share is not None and share != round(step.probability * 100):
        step.probability = share / 100


def _move(number: int, by: int) -> None:
    steps = _steps()
    place = next(i for i, s in enumerate(steps) if s.number == number)
    target = min(max(place + by, 0), len(steps) - 1)
    steps.insert(target, steps.pop(place))


def _delete(number: int) -> None:
    st.session_state[STEPS] = [s for s in _steps() if s.number != number]


def _add() -> None:
    added = CATALOGUE[st.session_state["step_to_add"]]
    step = EditedStep(_next_number(), added.key, parameters=added.defaults())
    _steps().append(step)
    st.session_state[step.widget("open")] = True


def _format_number(value: float | int) -> str:
    return f"{value:g}"


def _summarise(step: EditedStep, augmentation: Augmentation) -> str:
    """The settings in a few words."""
    words = [f"probability {step.probability:.0%}"] if step.probability < 1 else []
    for p in augmentation.parameters:
        value = step.parameters[p.key]
        if p.kind == "switch":
            words += [] if value else [f"no {p.title.lower()}"]
        elif value or p.default:
            words.append(f"{p.title.lower()} {_format_number(value)}{'°' if p.unit == '°' else ''}")
    return ", ".join(words if step.on else ["off", *words])


def _draw_widget(step: EditedStep, p: Parameter) -> None:
    """The slider or switch of one parameter; `_read_widgets` brings its value into the step."""
    # Its value is the element's default and not put into the session's state: a browser that is
    # told to draw a page again before it has drawn it does not hear of what was set.
    key, value = step.widget(p.key), step.parameters[p.key]
    if p.kind == "switch":
        st.toggle(p.title, bool(value), key=key, help=p.help)
        return
    low, high = p.sensible
    label = f"{p.title} ({p.unit})" if p.unit else p.title
    text = f"{p.help} Recommended for blood cells: {_format_number(low)} to {_format_number(high)}."
    if p.kind == "int":
        st.slider(label, int(p.low), int(p.high), int(value), key=key, help=text)
    else:
        span = float(p.high) - float(p.low)
        step_size = 0.001 if span <= 0.5 else 0.01 if span <= 2 else 0.5 if span < 100 else 1.0
        st.slider(
            label,
            float(p.low),
            float(p.high),
            float(value),
            step=step_size,
            format="%g",
            key=key,
            help=text,
        )
    if not low <= step.parameters[p.key] <= high:
        st.caption(f":orange[Above the recommended maximum of {_format_number(high)}.]")


def _draw_step(step: EditedStep, place: int, last: int) -> None:
    augmentation = CATALOGUE[step.key]
    with st.container(horizontal=True, wrap=False, gap="small", key=step.widget("row")):
        st.toggle(
            f"{augmentation.title} on",
            step.on,
            key=step.widget("on"),
            label_visibility="collapsed",
        )
        with st.container(gap="xxsmall"):
            # A label that changed with the settings would make it another element: the slider
            # inside would lose the keyboard's focus at every step.
            body = st.expander(
                f"{place + 1}. **{augmentation.title}**",
                key=step.widget("open"),
                on_change="rerun",
            )
            if not body.open:
                if summary := _summarise(step, augmentation):
                    st.caption(summary)
                return
            with body:
                _draw_settings(step, augmentation)
                _draw_order_buttons(step, first=place == 0, last=place == last)
                st.caption(f"Source: {augmentation.source}")


def _draw_settings(step: EditedStep, augmentation: Augmentation) -> None:
    st.caption(augmentation.summary)
    st.slider(
        "Probability (%)",
        0,
        100,
        round(step.probability * 100),
        key=step.widget("probability"),
        help="Probability that this step is applied to an image.",
    )
    for p in augmentation.parameters:
        _draw_widget(step, p)
    if augmentation.insensible(step.parameters) and augmentation.cue:
        st.caption(f":orange[{augmentation.cue.sentence}]")


def _draw_order_buttons(step: EditedStep, *, first: bool, last: bool) -> None:
    with st.container(horizontal=True):
        for icon, by, text, at_end in (
            ("arrow_upward", -1, "Move up", first),
            ("arrow_downward", 1, "Move down", last),
        ):
            st.button(
                text,
                icon=f":material/{icon}:",
                key=step.widget(text),
                disabled=at_end,
                on_click=_move,
                args=(step.number, by),
            )
        st.button(
            "Delete",
            icon=":material/delete:",
            key=step.widget("delete"),
            on_click=_delete,
            args=(step.number,),
        )


def draw_steps() -> None:
    """Draw all steps in their order, and a way to add one."""
    steps = _steps()
    st.html(_ROW_STYLE)
    with st.container():
        if not steps:
            st.info("No steps: images are not changed. Add an augmentation below.")
    for place, step in enumerate(steps):
        _draw_step(step, place, len(steps) - 1)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Augmentation to add",
            sorted(CATALOGUE, key=lambda k: list(GROUPS).index(CATALOGUE[k].group)),
            format_func=lambda k: f"{GROUPS[CATALOGUE[k].group]}: {CATALOGUE[k].title}",
            key="step_to_add",
        )
        st.button("Add", icon=":material/add:", on_click=_add, key="add_step")
    st.caption(CATALOGUE[chosen].summary)
