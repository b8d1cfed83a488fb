"""Serves `static/` from memory: bundled, compressed once, at URLs that change with the content.

Each page loads one script. Its modules are concatenated in import order, so a page needs one request and gzip sees all
of them. Top-level names are unique within a bundle: joining only drops the words `import` and `export`. A style sheet
is joined with the sheets it imports. Comments and spaces are dropped.
"""

import gzip
import hashlib
import mimetypes
import posixpath
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import rcssmin
import rjsmin
from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain.errors import ProblemError

STATIC = Path(__file__).parents[3] / "static"

ENTRIES = ("pay/pay.js", "pay/receipt.js", "admin/admin.js", "admin/sign_in.js")  # the modules that pages load

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[\w./-]+\.js)";\n', re.MULTILINE)
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
_UNUSUAL = re.compile(r"^(?:import (?!\{)|export (?!async |function |class |const )|(?:const|let) [{\[])", re.MULTILINE)
_STYLE_IMPORT = re.compile(r'^@import "(\.{1,2}/[\w./-]+\.css)";\n', re.MULTILINE)


class Assets:
    """The files of one folder, by file name. A name is served without its folder, so it must be unique."""

    def __init__(self, folder: Path = STATIC, entries: Sequence[str] = ENTRIES) -> None:
        sources = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        modules = {key: path.read_text() for key, path in sources.items() if key.endswith(".js")}
        sheets = {key: path.read_text() for key, path in sources.items() if key.endswith(".css")}
        served = [(key, path.read_bytes()) for key, path in sources.items() if key not in modules and key not in sheets]
        served += [(entry, rjsmin.jsmin(bundle(modules, entry)).encode()) for entry in entries]
        served += [(key, rcssmin.cssmin(join_sheets(sheets, key)).encode()) for key in sheets]
        self._files: dict[str, bytes] = {}
        for key, content in served:
            name = posixpath.basename(key)
            if name in self._files:
                raise ValueError(f"{key}: another file is served as {name}")
            self._files[name] = content
        self._compressed = {name: gzip.compress(content, 9, mtime=0) for name, content in self._files.items()}
        digest = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        self._digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Return the path that a file is served at. Raises: KeyError."""
        self._files[name]
        return f"/static/{self._digest}/{name}"

    @property
    def names(self) -> list[str]:
        """The names of all served files."""
        return sorted(self._files)

    def weight(self, name: str) -> int:
        """Return a file's size on the wire: its compressed bytes."""
        return len(self._compressed[name])

    def plain(self, name: str) -> bytes:
        """Return a file's uncompressed bytes. Raises: KeyError."""
        return self._files[name]

    async def serve(self, request: Request) -> Response:
        """Serve a file. Browsers may cache it for ever at its own digest, and not at all at an older one."""
        name = request.path_params["name"]
        if name not in self._files:
            raise ProblemError("not_found", "This file does not exist. No money moved. Load the page again.")
        current = request.path_params["digest"] == self._digest
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
            "vary": "accept-encoding",
        }
        kind = _media_type(name)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(self._compressed[name], headers=headers, media_type=kind)
        return Response(self._files[name], headers=headers, media_type=kind)


@cache
def site_assets() -> Assets:
    """The files of this site, read once."""
    return Assets()


def _media_type(name: str) -> str | None:
    """Return the type of a file; Starlette adds the charset of `text/…`."""
    kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
    return "image/svg+xml; charset=utf-8" if kind == "image/svg+xml" else kind


def bundle(modules: dict[str, str], entry: str) -> str:
    """Concatenate a module and its imports, by path within the folder.

    Raises: ValueError on syntax that cannot be joined by dropping words.
    """
    order: list[str] = []
    _collect_modules(modules, entry, order)
    names = [name for key in order for name in _DECLARED.findall(modules[key])]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{entry}: declared by more than one module: {', '.join(duplicates)}")
    return "".join(re.sub(r"^export ", "", _IMPORT.sub("", modules[key]), flags=re.MULTILINE) for key in order)


def _collect_modules(modules: dict[str, str], key: str, order: list[str]) -> None:
    source = modules[key]
    if unusual := _UNUSUAL.search(_IMPORT.sub("", source)):
        raise ValueError(f"{key}: write `import {{ names }} from`, or `export` before a declaration: {unusual[0]!r}")
    for names, specifier in _IMPORT.findall(source):
        if " as " in names:
            raise ValueError(f"{key}: imports under another name")
        imported = posixpath.normpath(posixpath.join(posixpath.dirname(key), specifier))
        if imported not in modules:
            raise ValueError(f"{key}: imports {specifier}, which does not exist")
        if imported not in order:
            _collect_modules(modules, imported, order)
    order.append(key)


def join_sheets(sheets: dict[str, str], key: str) -> str:
    """Put the sheets that a style sheet imports in the place of the imports. Raises: ValueError if one is missing."""

    def join(match: re.Match[str]) -> str:
        imported = posixpath.normpath(posixpath.join(posixpath.dirname(key), match[1]))
        if imported not in sheets:
            raise ValueError(f"{key}: imports {match[1]}, which does not exist")
        return join_sheets(sheets, imported)

    return _STYLE_IMPORT.sub(join, sheets[key])
