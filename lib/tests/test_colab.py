"""The set-up cell where Colab or Kaggle run it, and the profile that it names."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from medinstruct import manifest, params, paths
from medinstruct.errors import UserError

SOURCE = "".join(paths.cells(paths.notebook("08_finetune_lora"))[1]["source"])
NAMES = ["PROFILE", "RUN", "HOME", "OUTPUTS", "REPOSITORY"]
PROGRAM = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
result = InteractiveShell.instance().run_cell(sys.argv[1])
print(json.dumps({"failed": bool(result.error_in_exec), "place": dict(os.environ)}))
"""


@pytest.fixture
def release(tmp_path):
    """A bare repository with the tag of this release, as a clone on a local server."""
    about = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))
    work, bare = tmp_path / "work", tmp_path / "release.git"
    for name in ("notebooks/01.ipynb", "outputs/demo/dataset.jsonl"):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text("{}")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Release"]):
        subprocess.run(["git", *identity, *words], cwd=work, check=True)
    subprocess.run(["git", "tag", f"v{about['project']['version']}"], cwd=work, check=True)
    (work / "notebooks/01.ipynb").write_text("later than the release")
    subprocess.run(["git", *identity, "commit", "-qam", "Later"], cwd=work, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, bare], check=True)
    return bare


def set_up(folder, source=SOURCE, **environment):
    """What the cell prints in a fresh process in a folder, whether it failed, and its environment."""
    own = {f"MEDINSTRUCT_{name}" for name in NAMES} | {"COLAB_RELEASE_TAG"}
    kept = {name: text for name, text in os.environ.items() if name not in own}
    kept |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(paths.PACKAGE.parent)}
    form = {"capture_output": True, "text": True, "cwd": folder, "check": True}
    line = [sys.executable, "-c", PROGRAM, source]
    done = subprocess.run(line, env=kept | environment, **form)
    *shown, last = done.stdout.splitlines()
    result = json.loads(last)
    place = {name: result["place"].get(f"MEDINSTRUCT_{name}") for name in NAMES}
    return "\n".join(shown) + done.stderr, result["failed"], place


@pytest.mark.parametrize("where", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"])
def test_it_clones_the_release_and_names_the_profile(where, release, tmp_path):
    form = {where: "x", "MEDINSTRUCT_REPOSITORY": str(release)}
    shown, failed, place = set_up(tmp_path, **form)
    assert not failed and not shown.strip()
    home = tmp_path / "medinstruct"
    assert place["PROFILE"] == "colab" and place["RUN"] == "" and place["HOME"] == str(home)
    assert (home / "notebooks/01.ipynb").read_text() == "{}", "the tag, not what came later"
    chosen = SOURCE.replace('profile = "colab"', 'profile = "demo"')
    assert set_up(tmp_path, chosen, **form)[2]["PROFILE"] == "demo", "a second time, no clone"


def test_the_package_is_installed_beside_the_versions_of_colab(release, tmp_path):
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/log\necho torch==2.9.0+cu126; echo x==1\n')
    pip.chmod(0o755)
    source = f"import importlib.util\nimportlib.util.find_spec = lambda name: None\n{SOURCE}"
    form = {"COLAB_RELEASE_TAG": "x", "MEDINSTRUCT_REPOSITORY": str(release)}
    shown, failed, _ = set_up(tmp_path, source, PATH=f"{pip.parent}:{os.environ['PATH']}", **form)
    assert not failed, shown
    assert (tmp_path / "pins.txt").read_text() == "torch==2.9.0+cu126\n"
    install = (tmp_path / "log").read_text().splitlines()[-1]
    assert install == "install --quiet --constraint pins.txt ./medinstruct[train]"


def test_a_repository_that_cannot_be_cloned_is_one_sentence(tmp_path):
    gone = str(tmp_path / "nowhere.git")
    shown, failed, _ = set_up(tmp_path, COLAB_RELEASE_TAG="x", MEDINSTRUCT_REPOSITORY=gone)
    assert failed and len(shown.strip().splitlines()) == 1, shown
    assert f"could not be cloned from {gone} " in shown and "%env MEDINSTRUCT_REPOSITORY" in shown
    assert f"upload the repository's folder as {tmp_path / 'medinstruct'}" in shown
    assert "fatal" in (tmp_path / "clone.log").read_text()
    (tmp_path / "medinstruct/notebooks").mkdir(parents=True)  # uploaded
    assert not set_up(tmp_path, COLAB_RELEASE_TAG="x", MEDINSTRUCT_REPOSITORY=gone)[1]


def test_the_files_are_kept_on_drive_with_the_demo_to_start_from(release, tmp_path):
    fake = tmp_path / "fake/google/colab/__init__.py"
    fake.parent.mkdir(parents=True)
    fake.write_text("class drive:\n    mount = staticmethod(print)\n")
    source = f"import sys\nsys.path.insert(0, {str(tmp_path / 'fake')!r})\n{SOURCE}"
    source = source.replace("keep_on_drive = False", "keep_on_drive = True")
    source = source.replace("/content/drive", str(tmp_path / "drive"))
    form = {"COLAB_RELEASE_TAG": "x", "MEDINSTRUCT_REPOSITORY": str(release)}
    shown, failed, place = set_up(tmp_path, source, **form)
    assert not failed and shown.strip() == str(tmp_path / "drive")
    assert place["OUTPUTS"] == str(tmp_path / "drive/MyDrive/medinstruct")
    assert (tmp_path / "drive/MyDrive/medinstruct/demo/dataset.jsonl").exists()


def test_elsewhere_the_cell_does_nothing(tmp_path):
    shown, failed, place = set_up(tmp_path)
    assert not failed and not shown and not any(place.values())
    assert [path.name for path in tmp_path.iterdir()] in ([], ["ipython"])


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A function that gives the scope of notebook 08 after its check, where a profile is named."""
    (tmp_path / "demo").mkdir()
    shutil.copy(paths.root() / "outputs/demo/dataset.jsonl", tmp_path / "demo")
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("MEDINSTRUCT_PROFILE", "colab")
    monkeypatch.setenv("MEDINSTRUCT_RUN", "mine")

    def check(history=(), **changed):
        name = "08_finetune_lora"
        declared = params.declared(paths.notebook(name)).items()
        scope = {key: default for key, (_, default) in declared} | changed
        scope["__annotations__"] = {key: params.TYPES[kind] for key, (kind, _) in declared}
        form = {"profile": "colab", "run_name": "mine", "keep_on_drive": False}
        return scope | form, params.check(scope := scope | form | {"In": [*history]}, name), scope

    return check


def test_the_profile_named_in_the_environment_is_used_shown_and_recorded(opened, tmp_path, caplog):
    _, stage, scope = opened(epochs=7)
    colab = params.merged("colab")
    assert scope["base_model"] == colab["base_model"] == stage.values["base_model"]
    assert (scope["run"], scope["read_from"], scope["epochs"]) == ("mine", "demo", 7)
    assert "The profile colab sets base_model = 'HuggingFaceTB/SmolLM3" in caplog.text
    assert (tmp_path / "mine/dataset.jsonl").exists(), "copied from the demo that ships"
    stage.record()
    values = manifest.load(tmp_path / "mine")["08_finetune_lora"]["values"]
    assert values["template"] == "alpaca" and values["epochs"] == 7


def test_what_papermill_has_set_stays_even_where_it_is_the_default(opened):
    history = ['# Parameters\nrun = "own"\nbase_model = "smollm2"\nread_from = "demo"\n']
    _, stage, scope = opened(history, run="own", read_from="demo")
    assert (scope["run"], scope["base_model"]) == ("own", "smollm2")
    assert scope["template"] == "alpaca"
    with pytest.raises(UserError, match="No notebook has a parameter `profile`"):
        opened(['# Parameters\nprofile = "openai"\n'])
