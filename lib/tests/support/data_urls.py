"""Check that every pinned data URL still gives the file whose hash it states; needs Python alone.

`python lib/tests/support/data_urls.py` prints a line per URL; its status is 1 if one has changed.
"""

import hashlib
import re
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PINNED = re.compile(r"(https?://[^\s\"'#]+)#sha256=([0-9a-f]{64})")


def pinned(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Return each URL with a stated hash in the files of the folders, and that hash."""
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return sorted({match for text in texts for match in PINNED.findall(text)})


def problem(url: str, sha256: str) -> str:
    """Return what is wrong with a URL: it does not answer, or its file has another hash."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            given = hashlib.sha256(response.read()).hexdigest()
    except OSError as error:
        return f"does not answer: {error}"
    return "" if given == sha256 else f"has the hash {given}, not {sha256}"


def main(folders: Iterable[Path]) -> int:
    """Print a line per URL; return 1 if one has a problem, or if there is none to check."""
    urls = pinned(folders)
    problems = {url: problem(url, sha256) for url, sha256 in urls}
    for url, text in problems.items():
        print(f"{url} {text or 'as pinned'}")
    return int(any(problems.values()) or not urls)


if __name__ == "__main__":
    sys.exit(main([ROOT / "params", ROOT / "lib/medinstruct/data"]))
