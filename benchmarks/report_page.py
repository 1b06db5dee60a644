"""A report's page in Chromium: accessibility, requests, print, and what the first screen shows.

axe-core (`npm install axe-core`) looks for faults, once on the screen and once as it prints. Writes
results/report_page.json and a picture of the first screen at 1280x800.

    python -m benchmarks.report_page REPORT AXE_MIN_JS PICTURE
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.common import RESULTS, machine

_SERIOUS = ("serious", "critical")
_A4_MM = (210, 297)
_MARGIN_MM = 14  # as the page sets it
_PX_PER_MM = 96 / 25.4


def faults(page: Page, axe: Path) -> dict[str, list[str]]:
    """The rules that the page breaks, by how serious that is."""
    # The page allows no scripts of its own; those of the browser's tools run nevertheless.
    page.evaluate(axe.read_text("utf-8"))
    result = page.evaluate("async () => await axe.run()")
    by_impact: dict[str, list[str]] = {}
    for violation in result["violations"]:
        nodes = len(violation["nodes"])
        by_impact.setdefault(violation["impact"], []).append(f"{violation['id']} ({nodes})")
    return by_impact


def first_screen(page: Page) -> dict[str, bool]:
    """Whether the parts that answer the question end within the first screen."""
    parts = {"sentence": ".verdict", "answer": ".answer", "table": ".scroll table"}
    height = page.viewport_size["height"]
    bottoms = {}
    for name, selector in parts.items():
        box = page.locator(selector).first.bounding_box()
        bottoms[name] = bool(box and box["y"] + box["height"] <= height)
    return bottoms


def cut_figures(page: Page) -> dict[str, int]:
    """Figures that are larger than the printed part of an A4 page, and all figures."""
    width, height = (round((side - 2 * _MARGIN_MM) * _PX_PER_MM) for side in _A4_MM)
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(media="print")
    boxes = [figure.bounding_box() for figure in page.locator("figure").all()]
    cut = [b for b in boxes if b and (b["height"] > height or b["x"] + b["width"] > width + 1)]
    return {"figures": len(boxes), "cut": len(cut)}


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit("usage: python -m benchmarks.report_page REPORT AXE_MIN_JS PICTURE")
    report, axe, picture = map(Path, sys.argv[1:])
    file = report / "report.html"
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.resolve().as_uri())
        page.screenshot(path=str(picture))
        result: dict[str, Any] = {"first_screen": first_screen(page), "axe": faults(page, axe)}
        result["print"] = cut_figures(page)
        result["axe_in_print"] = faults(page, axe)
        browser.close()
    outside = [url for url in requests if not url.startswith(("file:", "data:"))]
    result |= {"requests_outside": outside, "megabytes": round(file.stat().st_size / 1e6, 2)}
    both = (result["axe"], result["axe_in_print"])
    result["serious"] = [fault for part in both for key in _SERIOUS for fault in part.get(key, [])]
    text = json.dumps({**result, **machine()}, indent=1)
    (RESULTS / "report_page.json").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
