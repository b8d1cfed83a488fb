"""The files under `static/`, from memory, under an address that changes with their content."""

import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.errors import Refusal

STATIC = Path(__file__).parents[2] / "static"


class Assets:
    """All files of one folder. One digest for all, so that modules can import each other by relative names."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name} {len(content)} ".encode() + content)
        self._digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a file is served. Raises KeyError for one that is not there."""
        self._files[name]
        return f"/static/{self._digest}/{name}"

    async def serve(self, request: Request) -> Response:
        """A file, to be kept for ever under its own digest; under another one (an older page asks) for no time."""
        name = request.path_params["name"]
        if name not in self._files:
            raise Refusal("not_found", "There is no such file.")
        current = request.path_params["digest"] == self._digest
        headers = {"cache-control": "public, max-age=31536000, immutable" if current else "no-cache"}
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        return Response(self._files[name], headers=headers, media_type=kind)
