"""An audit is kept beside its dataset, and what was not decided on since then still holds."""

import numpy as np
import pytest

from bloodcell.audit import (
    Audit,
    audit,
    audit_path,
    exclude_findings,
    known_findings,
    load_audit,
    save_audit,
)
from bloodcell.data.store.dataset import Dataset
from bloodcell.errors import BadInput, NotFound
from tests.audit.conftest import NEAR


def never(done: int, total: int, what: str) -> None:
    raise AssertionError(f"worked on {what}")


def test_what_was_saved_is_what_is_loaded(own: Dataset, audited: Audit):
    save_audit(own, audited)
    assert load_audit(own) == audited


def test_what_is_known_is_the_last_audit_and_fresh_copies(own: Dataset, audited: Audit):
    known = known_findings(own)
    assert [(f.kind, f.index) for f in known] == [(f.kind, f.index) for f in audited.findings]
    assert len({(f.kind, f.group) for f in known}) == len({f.group for f in known})


def test_without_an_audit_the_copies_are_known(own: Dataset):
    audit_path(own).unlink()
    assert {f.kind for f in known_findings(own)} == {"exact_duplicate", "conflicting_label"}


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"findings": [{"kind": 1}]}', "\0"])
def test_a_damaged_audit_is_as_good_as_none(own: Dataset, damage: str):
    audit_path(own).write_text(damage)
    assert load_audit(own) is None
    assert known_findings(own)


def test_an_audit_of_other_images_is_not_used(own: Dataset):
    text = audit_path(own).read_text()
    audit_path(own).write_text(text.replace(own.fingerprint, "0" * 64))
    assert load_audit(own) is None


def test_each_kind_can_be_excluded_from_the_last_audit_without_new_work(
    own: Dataset, audited: Audit
):
    kinds = ("near_duplicate", "outlier", "suspect_label")
    wanted = {
        kind: {f.index for f in audited.findings if f.kind == kind and f.suggested == "exclude"}
        for kind in kinds
    }
    seen: set[int] = set()
    for kind in kinds:
        done = exclude_findings(own, [kind], progress=never)
        assert done == {kind: len(wanted[kind] - seen)}
        seen |= wanted[kind]
    assert set(own.curation.excluded()) == seen
    assert all(own.curation.decisions[i]["reason"] in kinds for i in seen)
    left = known_findings(own)
    assert not {f.index for f in left} & seen


def test_copies_need_no_audit_at_all(own: Dataset):
    audit_path(own).unlink()
    assert exclude_findings(own, ["exact_duplicate"], progress=never)["exact_duplicate"] == 3
    assert not audit_path(own).exists()


def test_without_an_audit_one_is_made_and_kept(own: Dataset):
    audit_path(own).unlink()
    done = exclude_findings(own, ["outlier"])
    assert done["outlier"] >= 8
    assert load_audit(own) is not None


def test_of_near_copies_one_always_stays(own: Dataset):
    own.curation.exclude([0], "by hand")
    exclude_findings(own, ["near_duplicate"], progress=never)
    copies = list(range(len(own) - NEAR, len(own)))
    assert own.kept[copies].tolist() == [True] + [False] * (NEAR - 1)
    assert own.kept[1:NEAR].all()


def test_a_label_that_was_changed_is_no_longer_doubted(own: Dataset, audited: Audit):
    doubt = next(f for f in audited.findings if f.kind == "suspect_label")
    own.curation.relabel([doubt.index], 3, "looked at")
    known = {f.index for f in known_findings(own) if f.kind == "suspect_label"}
    assert doubt.index not in known
    assert len(known) == sum(f.kind == "suspect_label" for f in audited.findings) - 1


def test_an_image_that_came_back_makes_a_new_audit_necessary(own: Dataset):
    from bloodcell.audit import audit

    own.curation.exclude([5], "by hand")
    save_audit(own, audit(own, kinds=["outlier"]))
    exclude_findings(own, ["outlier"], progress=never)
    own.curation.undo([5])
    worked: list[str] = []
    exclude_findings(own, ["outlier"], progress=lambda done, total, what: worked.append(what))
    assert "comparing images" in worked


def test_all_of_a_kind_above_a_score(own: Dataset, audited: Audit):
    scores = sorted(f.score for f in audited.findings if f.kind == "suspect_label")
    above = scores[len(scores) // 2]
    done = exclude_findings(own, ["suspect_label"], above=above, progress=never)
    assert done == {"suspect_label": sum(s >= above for s in scores)}
    assert exclude_findings(own, ["near_duplicate"], above=0.5, progress=never) == {
        "near_duplicate": NEAR
    }


def test_a_picture_that_was_kept_is_not_asked_about_again(own: Dataset, audited: Audit):
    odd = next(f.index for f in audited.findings if f.kind == "outlier")
    copies = [f.index for f in audited.findings if f.kind == "exact_duplicate"]
    own.curation.keep([odd, 0, *copies], "looked at")
    known = known_findings(own)
    assert not {odd, *copies} & {f.index for f in known if f.kind != "conflicting_label"}
    near = {f.index: f.suggested for f in known if f.kind == "near_duplicate"}
    assert 0 not in near
    assert near[len(own) - NEAR] == "exclude"


def test_copies_are_known_whatever_the_last_audit_looked_for(own: Dataset):
    alone = exclude_findings(own, ["exact_duplicate"])
    own.curation.undo_last()
    save_audit(own, audit(own, kinds=["outlier"]))
    assert "exact_duplicate" in {f.kind for f in known_findings(own)}
    assert exclude_findings(own, ["exact_duplicate", "outlier"])["exact_duplicate"] == sum(
        alone.values()
    )


def test_one_that_can_only_be_read_is_audited_all_the_same(own: Dataset, only_to_be_read):
    audit_path(own).unlink()
    for kept in (own.path / "audit").iterdir():
        kept.unlink()
    only_to_be_read(own.path)
    save_audit(own, audit(own))
    assert load_audit(own) is None


def test_of_one_that_was_deleted_meanwhile_nothing_comes_back(own: Dataset, audited: Audit):
    own.path.rename(own.path.with_name("renamed"))
    with pytest.raises(NotFound, match="deleted or renamed meanwhile"):
        save_audit(own, audited)
    with pytest.raises(NotFound, match="deleted or renamed meanwhile"):
        own.curation.exclude([1], "blurred")
    assert not own.path.exists()


def test_an_unknown_kind_is_refused_before_anything_happens(own: Dataset):
    with pytest.raises(BadInput, match="no finding 'ugly'"):
        exclude_findings(own, ["outlier", "ugly"], progress=never)
    assert not np.any(~own.kept)
