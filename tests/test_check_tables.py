"""How `check` shows what it found."""

import pytest

from dolorim.cli.check_tables import finding_lines, summary_line
from dolorim.core.findings import Finding


def header_findings(n: int) -> list[Finding]:
    return [
        Finding(
            "warning", f"/study/Videos/m{i}.mp4", f"claims {50 + i} frames", "copy it", "header"
        )
        for i in range(n)
    ]


def test_six_hundred_findings_of_one_kind_are_one_line_that_names_the_first_three() -> None:
    [(severity, line)] = finding_lines(header_findings(600))
    assert severity == "warning"
    assert line == (
        "warning (header): 600 times, for example m0.mp4: claims 50 frames; copy it "
        "(m0.mp4, m1.mp4, m2.mp4 and 597 more; --all lists them)"
    )


def test_with_all_every_finding_has_its_line() -> None:
    assert len(finding_lines(header_findings(600), everything=True)) == 600


@pytest.mark.parametrize("n", [1, 2, 3])
def test_up_to_three_findings_are_written_out(n: int) -> None:
    [(_, lines)] = finding_lines(header_findings(n))
    assert lines.count("claims") == n


def test_errors_come_before_warnings_and_findings_without_a_name_stay_apart() -> None:
    findings = [
        *header_findings(5),
        Finding("error", "a", "is broken"),
        Finding("error", "b", "is broken"),
    ]
    assert [severity for severity, _ in finding_lines(findings)] == ["error", "error", "warning"]
    assert summary_line(findings) == "2 errors, 5 warnings, 0 notes"
