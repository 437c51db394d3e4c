"""The licences of all locked packages, as the packages themselves state them: `python -m medinstruct.pipeline.licences`."""

import re
from importlib import metadata
from pathlib import Path

from medinstruct import paths, records

ELSEWHERE = {"mlcroissant": "Apache-2.0, as its repository says (the package does not)"}
HEAD = """# Licences of the packages

Made from `requirements.lock` and the packages' own metadata by `make lock`; nothing is typed. None of these packages is copied into this
repository. Packages under a copyleft licence, which bind those who pass on changed copies of them: {copyleft}.
"""


def write() -> Path:
    """Write LICENSES.md for the packages of the lock, and PyTorch."""
    rows = {name: stated(name) for name in ["torch", *locked()]}
    copyleft = (
        ", ".join(
            f"{name} ({text})" for name, text in rows.items() if re.search(r"GPL|MPL|Mozilla", text)
        )
        or "none"
    )
    lines = [
        "| package | licence |",
        "| --- | --- |",
        *(f"| {name} | {text} |" for name, text in sorted(rows.items())),
    ]
    return records.write_text(
        paths.root() / "LICENSES.md", "\n".join([HEAD.format(copyleft=copyleft), *lines]) + "\n"
    )


def locked() -> list[str]:
    """The names in the lock, in its order."""
    lines = (paths.root() / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return list(
        dict.fromkeys(
            re.split(r"[=\[ ]", line)[0].lower() for line in lines if line and line[0] != "#"
        )
    )


def stated(name: str) -> str:
    """The licence that an installed package states: its expression, its classifiers, or the first line of its licence's text."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "not installed on this platform"
    classes = [
        one.split(" :: ")[-1]
        for one in about.get_all("Classifier", [])
        if one.startswith("License :: ")
    ]
    files = [
        path.locate()
        for path in metadata.files(name) or []
        if path.name.upper() in ("LICENSE", "LICENSE.TXT", "LICENSE.MD")
    ]
    texts = [
        about.get("License") or "",
        *(Path(str(file)).read_text(encoding="utf-8", errors="replace") for file in files),
    ]
    plain = next((line.strip() for line in "\n".join(texts).splitlines() if line.strip()), "")
    found = (
        about.get("License-Expression")
        or ", ".join(one for one in classes if one != "OSI Approved")
        or plain
        or ELSEWHERE.get(name, "not stated")
    )
    return found.replace("|", "/")


if __name__ == "__main__":
    print(f"Wrote {write()}")
