"""A notebook opened in Colab: an empty folder, a clone from an address, Colab's own packages left as they are."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat as nf
import pytest

from medinstruct import paths

PROJECT = """[project]
name = "medinstruct"
dependencies = ["brandnew>=2", "numpy>=1"]
[project.optional-dependencies]
train = ["torch>=2"]
"""


def wheel(folder, name, version, *, needs="", content="version = '{version}'"):
    """A package that pip installs from a folder, made without a build."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        packed.writestr(f"{name}.py", content.format(version=version))
        packed.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        packed.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        packed.writestr(f"{about}/RECORD", "")


@pytest.fixture
def machine(tmp_path):
    """A clone of which only the set-up script is looked at, an index with two packages, and an environment without a network."""
    home = tmp_path / "medinstruct-notebooks"
    (home / "lib/medinstruct/pipeline").mkdir(parents=True)
    (home / "outputs/demo").mkdir(parents=True)
    (home / "outputs/demo/seeds.jsonl").write_text("{}\n")
    shutil.copy(paths.PACKAGE / "pipeline/colab.py", home / "lib/medinstruct/pipeline/colab.py")
    (home / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "index").mkdir()
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIP_", "MEDINSTRUCT_"))
    }
    environment |= {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "index"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    code = "import runpy, sys, numpy; runpy.run_path(sys.argv[1], run_name='__main__'); import {}"

    def run(then="sys"):
        script = str(home / "lib/medinstruct/pipeline/colab.py")
        return subprocess.run(
            [sys.executable, "-c", code.format(then), script],
            capture_output=True,
            text=True,
            env=environment,
        )

    return home, tmp_path / "index", run, environment


def test_what_is_missing_goes_into_a_folder_of_its_own_and_is_found_first(machine):
    home, index, run, environment = machine
    wheel(index, "brandnew", "2.1", needs="Requires-Dist: helping\n")
    wheel(index, "helping", "1.0")
    done = run(then="brandnew, helping; print(brandnew.__file__, brandnew.version)")
    assert done.returncode == 0, done.stderr
    assert (
        "2 packages were added beside Colab's own" in done.stdout
        and f"{home}/.packages/brandnew.py 2.1" in done.stdout
    )
    here = subprocess.run(
        [sys.executable, "-m", "pip", "show", "brandnew"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert here.returncode == 1, "the environment itself has nothing new"
    assert "0 packages were added" in run().stdout, "the second notebook finds them there"


def test_what_the_kernel_has_loaded_is_never_replaced_and_the_conflict_is_told(machine):
    home, index, run, _ = machine
    wheel(index, "brandnew", "2.1", needs="Requires-Dist: numpy>=999\n")
    wheel(index, "numpy", "999.0")
    done = run()
    assert (
        done.returncode != 0
        and "Restart the session" in done.stderr
        and "conflict" in done.stderr.lower()
    )
    assert not (home / ".packages").exists()


def test_results_go_to_a_drive_that_is_mounted_with_the_shipped_run_to_start_from(
    machine, tmp_path, monkeypatch
):
    import runpy

    home, _, _, _ = machine
    script = runpy.run_path(str(home / "lib/medinstruct/pipeline/colab.py"))
    results = script["results_folder"]
    monkeypatch.delenv("MEDINSTRUCT_OUTPUTS", raising=False)
    assert results() == home / "outputs"
    (tmp_path / "drive").mkdir()
    monkeypatch.setitem(results.__globals__, "DRIVE", tmp_path / "drive")
    assert (
        results() == tmp_path / "drive/medinstruct/outputs"
        and (results() / "demo/seeds.jsonl").exists()
    )
    (results() / "demo/seeds.jsonl").write_text("mine\n")
    assert (results() / "demo/seeds.jsonl").read_text() == "mine\n", "what is there is kept"


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_one_notebook_alone_in_an_empty_folder_sets_itself_up_and_runs(tmp_path):
    """As in Colab: the kernel cannot import medinstruct (no .pth file is read), and the folder holds only the notebook."""
    from nbclient import NotebookClient

    root, kernel = paths.root(), tmp_path / "data/kernels/bare"
    subprocess.run(["git", "clone", "--quiet", str(root), str(tmp_path / "source")], check=True)
    for name in (
        "lib/medinstruct",
        "notebooks",
        "params",
    ):  # what is not committed yet is looked at too
        shutil.copytree(root / name, tmp_path / "source" / name, dirs_exist_ok=True)
    given = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(
        ["git", *given, "commit", "-qam", "Now", "--allow-empty"],
        cwd=tmp_path / "source",
        check=True,
    )
    kernel.mkdir(parents=True)
    packages = next(str(Path(entry)) for entry in sys.path if entry.endswith("site-packages"))
    environment = {
        "PYTHONPATH": packages,
        "COLAB_RELEASE_TAG": "release",
        "MEDINSTRUCT_SOURCE": f"file://{tmp_path}/source",
    }
    argv = [sys.executable, "-S", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "bare", "language": "python", "env": environment})
    )
    content = tmp_path / "content"
    content.mkdir()
    shutil.copy(root / "notebooks/01_explore_seeds.ipynb", content)
    book = nf.read(content / "01_explore_seeds.ipynb", as_version=4)
    book.cells.append(nf.v4.new_code_cell("import medinstruct; print(medinstruct.__path__)"))
    client = NotebookClient(
        book, kernel_name="bare", resources={"metadata": {"path": str(content)}}, timeout=300
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
        patch.delenv("MEDINSTRUCT_OUTPUTS", raising=False)
        client.execute()
    clone = content / "medinstruct-notebooks"
    assert "medinstruct is ready; 0 packages" in str(book.cells[1].outputs) and str(clone) in str(
        book.cells[-1].outputs
    )
    assert len((clone / "outputs/demo/seeds.jsonl").read_text().splitlines()) == 201


def test_a_copy_of_the_demo_that_was_interrupted_is_made_anew(tmp_path, monkeypatch):
    from medinstruct.pipeline import colab

    (tmp_path / "outputs/demo").mkdir(parents=True)
    (tmp_path / "outputs/demo/seeds.jsonl").write_text("{}")
    monkeypatch.setattr(colab, "HOME", tmp_path)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "kept"))

    def interrupted(source, target, **more):
        Path(target).mkdir(parents=True)
        raise OSError("the disk is full")

    with monkeypatch.context() as full, pytest.raises(OSError):
        full.setattr(shutil, "copytree", interrupted)
        colab.results_folder()
    assert (colab.results_folder() / "demo/seeds.jsonl").exists()
