"""What ``netctl status`` and ``explain`` leave out for a narrow screen, and what they must not merge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netctl.cli.explain_service import service_views
from netctl.cli.main import main
from netctl.cli.output import emit_views
from tests.cli.fake_program import answering
from tests.cli.test_names_commands import controller_status, explanation, table

Capture = pytest.CaptureFixture[str]


def test_every_lab_has_its_own_answer_also_where_they_are_alike(capsys: Capture) -> None:
    answers = [
        {"label": f"{lab}/{name}", "controller": name, **explanation()}
        for lab in ("one", "two")
        for name in ("c1", "c2")
    ]
    emit_views({}, list(service_views(answers)))
    said = capsys.readouterr().out
    titles = re.findall(r"^(.*): orders, by vms$", said, re.MULTILINE)
    assert titles == ["one/c1, one/c2", "two/c1, two/c2"]
    assert said.count("own instances are ready") == 2


def test_the_budget_is_shown_by_its_fullest_window_and_whole_in_wide(tmp_path: Path, capsys: Capture) -> None:
    status = controller_status()
    windows = ((60, 3, 100), (3600, 90, 100), (86400, 91, 20000))
    for cluster in status["clusters"]:
        cluster["budget"] = [{"window_s": w, "used": used, "limit": limit} for w, used, limit in windows]
    with answering(tmp_path, "controller", {"status": status}):
        assert main(["status", "--runtime-dir", str(tmp_path)]) == 0
        assert table(capsys.readouterr().out, "CONTROLLER|CLUSTER")[0][-2] == "90/100 in 1h"
        assert main(["status", "--runtime-dir", str(tmp_path), "-o", "wide"]) == 0
    assert "3/100 in 1m,90/100 in 1h,91/20000 in 24h" in capsys.readouterr().out
