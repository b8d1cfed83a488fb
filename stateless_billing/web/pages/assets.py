"""The files under `static/`, from memory, compressed once, under an address that changes with their content.

The modules of a page are sent as one, so that a slow network is asked once and the compression sees all of them: their
imports say the order, and as every name is unique there is nothing to rewrite but the words `import` and `export`.
"""

import gzip
import hashlib
import mimetypes
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.domain.errors import ProblemError

STATIC = Path(__file__).parents[3] / "static"

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
_UNUSUAL = re.compile(r"^(?:import (?!\{)|export (?!async |function |class |const )|(?:const|let) [{\[])", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)\n+", re.MULTILINE | re.DOTALL)


class Assets:
    """All files of one folder."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        modules = {name: content.decode() for name, content in files.items() if name.endswith(".js")}
        self._files = {name: content for name, content in files.items() if name not in modules}
        imported = {name for source in modules.values() for _, name in _IMPORT.findall(source)}
        self._files |= {name: bundle(modules, name).encode() for name in modules.keys() - imported}
        self._files |= {
            name: _strip_comments(text) for name, text in self._files.items() if name.endswith((".js", ".css"))
        }
        self._compressed = {name: gzip.compress(content, 9, mtime=0) for name, content in self._files.items()}
        digest = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        self._digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a file is served. Raises KeyError for one that is not there."""
        self._files[name]
        return f"/static/{self._digest}/{name}"

    @property
    def names(self) -> list[str]:
        """What is served, by name."""
        return sorted(self._files)

    def weight(self, name: str) -> int:
        """The bytes of a file on the wire, compressed."""
        return len(self._compressed[name])

    def plain(self, name: str) -> bytes:
        """A file as it is sent to those who take nothing compressed. Raises KeyError."""
        return self._files[name]

    async def serve(self, request: Request) -> Response:
        """A file, to be kept for ever under its own digest; under another one (an older page asks) for no time."""
        name = request.path_params["name"]
        if name not in self._files:
            raise ProblemError("not_found", "There is no such file.")
        current = request.path_params["digest"] == self._digest
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
            "vary": "accept-encoding",
        }
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(self._compressed[name], headers=headers, media_type=kind)
        return Response(self._files[name], headers=headers, media_type=kind)


def bundle(modules: dict[str, str], entry: str) -> str:
    """A module with all that it imports, in order, as one. Raises ValueError where that would not be plain."""
    order: list[str] = []
    _collect_modules(modules, entry, order)
    declared = [(name, file) for file in order for name in _DECLARED.findall(modules[file])]
    names = [name for name, _ in declared]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{entry}: declared by more than one module: {', '.join(twice)}")
    return "".join(re.sub(r"^export ", "", _IMPORT.sub("", modules[file]), flags=re.MULTILINE) for file in order)


def _collect_modules(modules: dict[str, str], name: str, order: list[str]) -> None:
    source = modules[name]
    if unusual := _UNUSUAL.search(_IMPORT.sub("", source)):
        raise ValueError(f"{name}: write `import {{ names }} from`, or `export` before a declaration: {unusual[0]!r}")
    for names, other in _IMPORT.findall(source):
        if " as " in names:
            raise ValueError(f"{name}: imports under another name")
        if other not in order:
            _collect_modules(modules, other, order)
    order.append(name)


def _strip_comments(content: bytes) -> bytes:
    """A script or style without the comments that have lines of their own."""
    return _COMMENT.sub("", content.decode()).encode()
