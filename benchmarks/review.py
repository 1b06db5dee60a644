"""How smoothly the review page runs: a video of two hours, 500 recordings, playback, and keystrokes
per correction.

python -m benchmarks.review [--hours 2] [--minutes 10]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.common import RESULTS, long_video, machine
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.video.cache import fingerprint

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-precise-memory-info",
]  # fmt: skip
RATE_HZ = 30.0


def predict(folder: Path, video: Path, n: int, seed: int = 0) -> None:
    """Predictions that look like some: bouts of about a second, doubtful at their edges."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(12, 90, n // 12 + 1)
    classes = np.concatenate([[0], np.cumsum(rng.integers(1, len(PAIN), len(lengths) - 1))]) % len(
        PAIN
    )
    labels = np.repeat(classes, lengths)[:n].astype(np.int16)
    probabilities = rng.uniform(0, 0.08, (n, len(PAIN))).astype(np.float32)
    probabilities[np.arange(n), labels] += rng.uniform(0.5, 1, n).astype(np.float32)
    probabilities /= probabilities.sum(1, keepdims=True)
    meta = {"video": str(video), "fps": RATE_HZ, "fingerprint": fingerprint(video)}
    write_predictions(
        folder,
        Predictions(video.stem, PAIN.classes, labels, probabilities, np.arange(n) / RATE_HZ, meta),
    )


@contextlib.contextmanager
def served(place: Path) -> Iterator[tuple[str, int]]:
    """The command itself, in a process of its own: the address to open, and the process's id."""
    command = [sys.executable, "-m", "dolorim", "review", str(place), "--no_browser"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if match := re.search(r"open (http\S+)", line):
                yield match[1], process.pid
                break
    finally:
        process.terminate()
        process.wait()


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    return page


def wait_frame(page: Page, frame: int) -> None:
    page.wait_for_function(
        "f => document.querySelector('#video').dataset.frame === String(f)", arg=frame
    )


def first_frame(browser: Browser, url: str) -> tuple[Page, dict[str, float]]:
    page = opened(browser, url)
    first_picture = "() => performance.getEntriesByName('first-picture')[0]?.startTime"
    page.wait_for_function(first_picture)
    picture = page.evaluate(first_picture)
    wait_frame(page, 0)
    page.evaluate(
        """async () => {
          const { state } = await import("/static/state.js");
          while (!state.rec?.bouts) await new Promise((go) => setTimeout(go, 20));
        }"""
    )
    whole = page.evaluate("() => performance.now()")
    again = []
    for _ in range(9):
        page.reload()
        page.wait_for_function(first_picture)
        again.append(page.evaluate(first_picture) / 1000)
        wait_frame(page, 0)
    seconds = {"first_picture_s": picture / 1000, "all_is_there_s": whole / 1000}
    return page, {
        **seconds,
        "reloaded_median_s": statistics.median(again),
        "reloaded_fastest_s": min(again),
    }


def scrub(page: Page, n_frames: int, jumps: int = 100) -> dict[str, float]:
    targets = np.random.default_rng(0).integers(0, n_frames, jumps).tolist()
    took = page.evaluate(
        """async (targets) => {
          const { seek } = await import("/static/player.js");
          const { on } = await import("/static/state.js");
          const canvas = document.querySelector("#video");
          const took = [];
          let tell = () => {};
          on("drawn", () => tell());
          for (const target of targets) {
            const start = performance.now();
            await new Promise((resolve) => {
              tell = () => canvas.dataset.frame === String(target) && resolve();
              seek(target);
            });
            took.push(performance.now() - start);
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          return took;
        }""",
        targets,
    )
    return {
        "scrub_median_ms": statistics.median(took),
        "scrub_p95_ms": float(np.percentile(took, 95)),
    }


def memory_mb(pids: list[int]) -> float:
    """Memory of processes, what they share counted once (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(
                Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0]
            )
    return total / 1024


def cpu_s(pids: list[int]) -> float:
    """Processor time that processes have used."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    pids, left = [], [pid]
    while left:
        some = parents.get(left.pop(), [])
        pids += some
        left += some
    return pids


def playback(page: Page, server: int, minutes: float) -> dict[str, Any]:
    """Play at normal speed: frames shown a second, the share that was left out, and memory on the
    way."""
    page.evaluate(
        """async () => {
          const { on } = await import("/static/state.js");
          window.shown = [];
          const shown = () => Number(document.querySelector("#video").dataset.frame);
          on("drawn", () => window.shown.push(shown()));
        }"""
    )
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.wait_for_timeout(5000)
    page.evaluate("() => { window.shown.length = 0; window.began = performance.now(); }")
    memory = []
    used = []
    for _ in range(5):
        browser = [p for p in children(os.getpid()) if p != server]
        used.append((time.perf_counter(), cpu_s([server]), cpu_s(browser)))
        heap = page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
        memory.append(
            {"server_mb": memory_mb([server]), "browser_mb": memory_mb(browser), "heap_mb": heap}
        )
        page.wait_for_timeout(minutes * 60_000 / 4 if len(memory) < 5 else 0)
    seconds = page.evaluate("() => (performance.now() - window.began) / 1000")
    shown = page.evaluate("() => window.shown")
    page.keyboard.press(" ")
    distinct = len(set(shown))
    (t0, server0, browser0), (t1, server1, browser1) = used[0], used[-1]
    span = max(shown) - min(shown) + 1
    return {
        "minutes": minutes,
        "frames_shown_per_s": distinct / seconds,
        "frames_passed_per_s": span / seconds,
        "server_cores": (server1 - server0) / (t1 - t0),
        "browser_cores": (browser1 - browser0) / (t1 - t0),
        "left_out": 1 - distinct / span,
        "memory": memory,
    }


def correct(page: Page, folder: Path, name: str, bouts: int = 100) -> dict[str, Any]:
    """Correct bouts by keys alone: one to go to the next, one for its class."""
    strokes = 0
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    start = time.perf_counter()
    for _ in range(bouts):
        page.keyboard.press("ArrowDown")
        label = page.evaluate(
            "async () => (await import('/static/state.js')).state.selection.label"
        )
        page.keyboard.press(str((label + 1) % len(PAIN) + 1))
        strokes += 2
    page.wait_for_function("() => document.querySelector('#saved').textContent === 'Saved'")
    seconds = time.perf_counter() - start
    file = next((folder / "review").glob(f"*/{name}.csv"))
    corrected = int((read_labels(file, PAIN).labels >= 0).sum())
    steps = len(file.with_name(f"{name}.history.jsonl").read_text().splitlines())
    return {
        "bouts": bouts,
        "strokes_per_bout": strokes / bouts,
        "steps": steps,
        "frames": corrected,
        "s": seconds,
    }


def many(folder: Path, short: Path, n: int) -> Path:
    for i in range(n):
        video = folder / "Videos" / f"cage_{i:03d}_{200 + i}M.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(short, video)
        predict(folder / "predictions", video, 1800, i)
    return folder / "predictions"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--recordings", type=int, default=500)
    given, _ = parser.parse_known_args()
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if chromium is None:
        sys.exit("no Chromium here; this benchmark needs one")
    command = f"python -m benchmarks.review --hours {given.hours:g} --minutes {given.minutes:g}"
    report: dict[str, Any] = {"command": command, **machine(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        n = round(given.hours * 3600 * RATE_HZ)
        video = long_video(folder / "long", 3600 * given.hours)
        predict(folder / "long" / "predictions", video, n)
        short = next((folder / "long" / "Videos").iterdir())
        lists = many(folder / "many", short, given.recordings)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        with served(lists) as (url, _):
            page, timings = first_frame(browser, url)
            page.wait_for_function(
                "() => document.querySelector('#progress').textContent.includes('pieces')"
            )
            timings["queue_is_there_s"] = page.evaluate("() => performance.now()") / 1000
            report["500_recordings"] = {
                "rows": page.locator("#recordings button").count(),
                **timings,
            }
            page.context.close()
        with served(folder / "long" / "predictions") as (url, server):
            page, timings = first_frame(browser, url)
            report["long_video"] = {"frames": n, **timings, **scrub(page, n)}
            report["keys"] = correct(page, folder / "long" / "predictions", video.stem)
            report["playback"] = playback(page, server, given.minutes)
        browser.close()
    report["load_after"] = os.getloadavg()[0]
    (RESULTS / "review.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
