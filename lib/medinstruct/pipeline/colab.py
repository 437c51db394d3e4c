"""Set a Colab machine up: run as a script by the set-up cell of every notebook, before the package can be imported.

What Colab has is never changed: what it lacks, or has too old, goes into a folder of its own that stands first on the path of
this kernel. Results go to Drive where it is mounted. Needs only the standard library and `packaging`.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib import invalidate_caches, metadata
from pathlib import Path

HOME = Path(__file__).resolve().parents[3]
DRIVE = Path("/content/drive/MyDrive")
NOT_NEEDED = {"torch", "ipykernel", "nbformat"}  # a machine that shows a notebook has its own


def main() -> str:
    """Make the package importable here and in the kernels that this one starts; says in one sentence what was done."""
    layer = HOME / ".packages"
    _first_on_the_path(HOME / "lib", layer)
    wanted = lacking(requirements(HOME / "pyproject.toml"))
    added = to_install(wanted, loaded()) if wanted else []
    if added:
        _pip("install", "--no-deps", "--upgrade", "--target", str(layer), *added)
    invalidate_caches()
    outputs = results_folder()
    os.environ["MEDINSTRUCT_OUTPUTS"] = str(outputs)
    _widgets()
    return f"medinstruct is ready; {len(added)} packages were added beside Colab's own. Results are kept in {outputs}."


def requirements(project: Path) -> list[str]:
    """What the notebooks need, from the project's own file; PyTorch is left to Colab."""
    found = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    return [*found["dependencies"], *found["optional-dependencies"]["train"]]


def lacking(wanted: list[str]) -> list[str]:
    """The requirements that no installed version meets."""
    from packaging.requirements import Requirement

    parsed = [Requirement(text) for text in wanted]
    return [
        str(one)
        for one in parsed
        if one.name not in NOT_NEEDED and not one.specifier.contains(_version(one.name), True)
    ]


def loaded() -> list[str]:
    """What this kernel has imported already, and PyTorch and NumPy, each at its version: these must stay as they are."""
    owners = metadata.packages_distributions()
    names = {
        name
        for module in [*sys.modules, "torch", "numpy"]
        for name in owners.get(module.partition(".")[0], [])
    }
    return sorted(
        f"{name}=={_version(name).partition('+')[0]}" for name in names if name != "medinstruct"
    )


def to_install(wanted: list[str], kept: list[str]) -> list[str]:
    """The exact versions that pip would add for what is wanted, without changing what is kept."""
    constraints = HOME / ".constraints"
    constraints.write_text("\n".join(kept))
    report = _pip(
        "install", "--dry-run", "--report", "-", "--constraint", str(constraints), *wanted
    )
    found = [item["metadata"] for item in json.loads(report)["install"]]
    return [f"{one['name']}=={one['version']}" for one in found]


def results_folder() -> Path:
    """On Drive where it is mounted, else in the clone; the shipped demo run is put where there is none yet."""
    given = os.environ.get("MEDINSTRUCT_OUTPUTS")
    folder = (
        Path(given) if given else (DRIVE / "medinstruct" if DRIVE.is_dir() else HOME) / "outputs"
    )
    if not (folder / "demo").exists():
        shutil.copytree(HOME / "outputs" / "demo", folder / ".demo", dirs_exist_ok=True)
        (folder / ".demo").rename(folder / "demo")  # there only if it is whole
    return folder


def _first_on_the_path(*folders: Path) -> None:
    texts = [str(folder) for folder in folders]
    sys.path[:] = texts + [entry for entry in sys.path if entry not in texts]
    earlier = [
        entry
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if entry and entry not in texts
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join(texts + earlier)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _pip(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet"], capture_output=True, text=True
    )
    if done.returncode:
        told = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()[-5:]
        raise RuntimeError(
            "\n".join(
                [
                    "pip could not add what is missing. Restart the session, run this cell first.",
                    *told,
                ]
            )
        )
    return done.stdout


def _widgets() -> None:
    try:
        from google.colab import output
    except ImportError:
        return
    output.enable_custom_widget_manager()


if __name__ == "__main__":
    print(main())
