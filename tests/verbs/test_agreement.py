"""agree and verify: from tables of people and machines to a judgement, in the command line."""

import json
import re
import sys
from pathlib import Path

import pytest

from bloodcell.cli import main
from tests.agreement.test_verification import smears


@pytest.fixture
def run(tmp_path: Path, monkeypatch, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        home = ["--home", str(tmp_path / "home")]
        monkeypatch.setattr(sys, "argv", ["bloodcell", *home, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        return ended.value.code, out.out, out.err

    return call


PLAN = [
    *("verify", "study", "--question", "Does it count as two readers do?"),
    *("--machine", "reference", "--reader", "anna", "--reader", "ben", "--smears", "40"),
    *("--limit", "neutrophil=12", "--limit", "lymphocyte=12", "--deviation", "4"),
]


class TestAgree:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        path = tmp_path / "labels.csv"
        lines = ["file,reader,label"]
        for i in range(60):
            cell = ("neutrophil", "lymphocyte", "monocyte")[i % 3]
            lines += [f"{i}.png,{who},{cell}" for who in ("anna", "ben")]
            lines.append(f"{i}.png,net,{'basophil' if i % 4 == 0 else cell}")
        path.write_text("\n".join(lines) + "\n")
        return path

    def test_says_how_far_readers_agree_and_that_the_machine_does_less(self, run, table):
        code, out, _ = run("agree", table, "--machine", "net", "--json")
        found = json.loads(out)
        assert code == 0
        assert found["pairs"][0]["readers"] == ["anna", "ben"]
        assert found["pairs"][0]["value"] == 1
        assert found["machine"]["interval"][1] < 0
        assert found["disagreements"] == 15
        text = run("agree", table, "--machine", "net")[1]
        assert "measurably less" in text

    def test_a_machine_that_read_nothing_is_a_sentence(self, run, table):
        code, _, err = run("agree", table, "--machine", "other")
        assert code == 2
        assert "'other'" in err


class TestVerify:
    def test_from_the_plan_to_the_report(self, run, tmp_path: Path):
        counts = tmp_path / "counts.csv"
        smears().table.to_csv(counts, index=False)
        code, out, _ = run(*PLAN)
        assert code == 0
        assert "not locked yet" in out
        assert re.search(r"neutrophil +± 12 +9\d%", out)

        code, _, err = run("verify", "study", "--counts", counts)
        assert code == 2
        assert "not locked" in err

        assert run("verify", "study", "--lock")[0] == 0
        code, _, err = run("verify", "study", "--limit", "neutrophil=30")
        assert code == 2
        assert "locked since" in err

        report = tmp_path / "report.html"
        code, out, _ = run("verify", "study", "--counts", counts, "--report", report, "--json")
        found = json.loads(out)
        assert code == 0
        assert found["passed"] is True
        assert found["n"] == 40
        page = report.read_text()
        assert "Passed on 40 smears" in page
        assert found["plan"]["seal"] in page
        assert "STARD-AI" in page
        assert "TRIPOD+AI" in page
        own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
        assert "http" not in own

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (["verify", "nothing"], "no verification 'nothing'"),
            (["verify", "new", "--smears", "40"], "question, machine, readers is missing"),
            ([*PLAN, "--limit", "neutrophil"], "cannot be read"),
            ([*PLAN, "--report", "r.html"], "A report needs figures"),
            (["verify", "../up", "--lock"], "cannot be the name"),
        ],
    )
    def test_what_cannot_be_done_is_a_sentence(self, run, arguments, match):
        code, _, err = run(*arguments)
        assert code == 2
        assert match in err
