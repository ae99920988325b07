"""A deleted policy can be put back."""

import pytest

from bloodcell.augment import (
    Policy,
    delete_policy,
    find_policy,
    policy_names,
    restore_policy,
    save_policy,
    step,
)
from bloodcell.errors import BadInput, NameTaken, NotFound
from bloodcell.workspace import Workspace

MINE = Policy("mine.v2", (step("flip"),))


@pytest.fixture
def workspace(tmp_path):
    home = Workspace(tmp_path / "home")
    save_policy(home, MINE)
    return home


def test_a_deleted_policy_is_gone_and_comes_back_whole(workspace):
    deleted = delete_policy(workspace, "mine.v2")
    assert "mine.v2" not in policy_names(workspace)
    assert deleted.is_relative_to(workspace.trash)
    assert restore_policy(workspace, deleted) == "mine.v2"
    assert find_policy(workspace, "mine.v2") == MINE


def test_one_name_can_be_deleted_twice_and_each_can_be_put_back(workspace):
    first = delete_policy(workspace, "mine.v2")
    other = Policy("mine.v2", (step("hue"),))
    save_policy(workspace, other)
    second = delete_policy(workspace, "mine.v2")
    restore_policy(workspace, first)
    assert find_policy(workspace, "mine.v2") == MINE
    with pytest.raises(NameTaken, match=r"'mine\.v2' is taken again"):
        restore_policy(workspace, second)
    assert second.is_file()


def test_presets_and_unknown_names_are_refused(workspace):
    with pytest.raises(BadInput, match="'bloodcellcnn' is a preset"):
        delete_policy(workspace, "bloodcellcnn")
    with pytest.raises(NotFound, match="'absent'"):
        delete_policy(workspace, "absent")
    with pytest.raises(NotFound, match=r"not there any more"):
        restore_policy(workspace, workspace.trash / "policies" / "x.00000000.json")
