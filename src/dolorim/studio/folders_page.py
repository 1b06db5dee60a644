"""Choosing a folder: what lies below the user's home, and turning to another study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dolorim.core.errors import UserError
from dolorim.files.naming import is_video
from dolorim.review.changes import read_json_body
from dolorim.studio.studio import Studio, text_in

_MOST = 300  # folders that are listed


@dataclass(frozen=True)
class Listing:
    """A folder in the picker: the folders and the number of videos in it."""

    folder: Path
    parent: Path | None
    folders: tuple[Path, ...]
    videos: tuple[Path, ...]
    is_cut: bool


def routes(studio: Studio) -> list[BaseRoute]:
    async def browse(request: Request) -> Response:
        place = request.query_params.get("place", "")
        purpose = request.query_params.get("for", "open")
        listing = await run_in_threadpool(list_folder, studio, place)
        return studio.render("_folders.html", listing=listing, purpose=purpose)

    async def open_folder(request: Request) -> Response:
        values = await read_json_body(request)
        folder = allowed(studio, text_in(values, "folder"))
        await run_in_threadpool(studio.open, folder)
        # The whole page is about the study.
        return Response(headers={"HX-Redirect": "/"})

    return [
        Route("/folders", browse),
        Route("/open", open_folder, methods=["POST"]),
    ]


def list_folder(studio: Studio, place: str) -> Listing:
    """What a folder holds. Raises `UserError` for a folder that may not be listed."""
    folder = allowed(studio, place) if place else studio.home.folder
    try:
        visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
        visible.sort(key=lambda path: path.name.casefold())
        folders = list(filter(Path.is_dir, visible))
        videos = [path for path in filter(is_video, visible) if path.is_file()]
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=folder) from None
    # From the top of what may be listed, no way leads up.
    parent = folder.parent if _is_below_a_root(studio, folder.parent) else None
    is_cut = len(folders) > _MOST
    return Listing(folder, parent, tuple(folders[:_MOST]), tuple(videos), is_cut)


def allowed(studio: Studio, place: str) -> Path:
    """A folder or file that the picker may reach. Raises `UserError` for any other.

    That is what lies below the user's home or in the study, and beside it.
    """
    if not place or "\0" in place:
        raise UserError("name a folder")
    path = Path(place).expanduser()
    if not path.is_absolute():
        path = studio.home.folder / path
    # Links are followed first, so that none leads out.
    resolved = path.resolve()
    if not _is_below_a_root(studio, resolved):
        raise UserError(
            "lies outside of your home and of the folder that was opened",
            where=place,
            remedy="start dolorim studio in that folder",
        )
    if not resolved.exists():
        raise UserError("there is no such folder", where=place)
    return resolved


def _is_below_a_root(studio: Studio, path: Path) -> bool:
    return any(path.is_relative_to(root) for root in studio.roots)
