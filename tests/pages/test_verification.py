"""The Verification page: readers compared; a plan made, locked, and measured."""

from pathlib import Path

from bloodcell.agreement.verification import load_plan, lock_plan, save_plan
from tests.agreement.test_verification import PLAN, smears

LABELS = "file,reader,label\n" + "".join(
    f"{i}.png,{who},{cell}\n"
    for i in range(40)
    for who, cell in (
        ("anna", ("neutrophil", "lymphocyte")[i % 2]),
        ("ben", ("neutrophil", "lymphocyte")[i % 2] if i else "monocyte"),
        ("net", ("neutrophil", "lymphocyte")[i % 2] if i % 4 else "basophil"),
    )
)


def sentences(app) -> str:
    shown = (*app.markdown, *app.caption, *app.success, *app.error, *app.warning, *app.info)
    return "\n".join(element.value for element in shown)


class TestReaders:
    def test_an_upload_shows_kappas_and_the_machine_against_the_readers(
        self, open_page, tmp_path: Path
    ):
        app = open_page(tmp_path, "verification")
        app.file_uploader(key="readings").set_value(("labels.csv", LABELS.encode(), "text/csv"))
        app.run()
        app.selectbox(key="readings_machine").set_value("net").run()
        assert not app.exception
        pairs = app.dataframe[0].value
        assert list(pairs["Readers"]) == [
            *("anna and ben", "anna and net", "ben and net", "all (Fleiss)")
        ]
        assert "measurably less" in sentences(app)
        assert app.subheader[-1].value == "Disagreements (10)"

    def test_a_table_that_is_none_is_a_sentence_with_the_name_of_the_file(
        self, open_page, tmp_path: Path
    ):
        app = open_page(tmp_path, "verification")
        app.file_uploader(key="readings").set_value(("mine.csv", b"file,label\n", "text/csv"))
        app.run()
        assert [e.value for e in app.error] == [
            "mine.csv has the columns file, label: expected file, reader and label, so add reader."
        ]


class TestPlan:
    def test_is_made_and_locked(self, open_page, tmp_path: Path):
        app = open_page(tmp_path, "verification", verification_view="Plan")
        app.text_input(key="plan_name").set_value("study")
        app.text_input(key="plan_readers_new").set_value("anna, ben")
        app.number_input(key="plan_limit_new_neutrophil").set_value(12.0)
        app.run()
        assert "%" in app.dataframe[0].value["Chance to succeed"][0]
        app.button(key="plan_lock").click().run()
        assert not app.exception
        plan = load_plan(tmp_path / "verifications" / "study" / "plan.json")
        assert plan.locked
        assert plan.readers == ("anna", "ben")
        assert plan.limits == {"neutrophil": 12.0, "lymphocyte": 5.0}
        app.selectbox(key="verification_plan").set_value("study").run()
        assert "Locked on" in sentences(app)
        assert not app.number_input

    def test_what_cannot_be_asked_is_a_sentence(self, open_page, tmp_path: Path):
        app = open_page(tmp_path, "verification", verification_view="Plan")
        app.text_input(key="plan_readers_new").set_value("").run()
        assert "at least one reader" in app.error[0].value
        assert [b.key for b in app.button if b.key == "plan_lock"] == []


class TestResults:
    def test_wait_for_a_locked_plan(self, open_page, tmp_path: Path):
        save_plan(tmp_path / "verifications" / "study" / "plan.json", PLAN)
        app = open_page(tmp_path, "verification", verification_view="Results")
        assert "Lock a plan first" in sentences(app)

    def test_of_counts_say_what_was_planned_and_whether_it_was_met(self, open_page, tmp_path: Path):
        path = tmp_path / "verifications" / "study" / "plan.json"
        save_plan(path, PLAN)
        lock_plan(path)
        app = open_page(tmp_path, "verification", verification_view="Results")
        content = smears(bias=0.25).table.to_csv(index=False).encode()
        app.file_uploader(key="counts").set_value(("counts.csv", content, "text/csv")).run()
        assert not app.exception
        assert "neutrophil outside ± 12" in app.error[0].value
        assert list(app.dataframe[0].value["Status"][:3]) == ["not accepted"] * 2 + ["explored"]
