"""The release of the program, and the commit that its image was built from."""

from pathlib import Path

VERSION = "0.1.0"
_COMMIT_FILE = Path(__file__).with_name("COMMIT")  # the image's build writes it


def read_commit() -> str:
    """Return the commit of this image; `unknown` outside of images and where the build was not told it."""
    if not _COMMIT_FILE.exists():
        return "unknown"
    return _COMMIT_FILE.read_text().strip() or "unknown"
