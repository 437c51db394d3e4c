"""The README's ways to run again: another profile, one parameter, one notebook alone, two runs side by side, another folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medinstruct import paths

SHIPPED = paths.root() / "outputs/demo"
README = (paths.root() / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Outputs elsewhere, with the shipped demo run in them as `demo`; commands start in an empty folder."""
    files = ["seeds.jsonl", "raw_tasks.jsonl"]
    (tmp_path / "outputs/demo").mkdir(parents=True)
    for name in files:
        shutil.copy(SHIPPED / name, tmp_path / "outputs/demo" / name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "outputs"


def command(*words):
    """A command of the README, with this environment's programs, from the folder that the test is in."""
    program = [sys.executable, "-m", words[0]]
    return subprocess.run(
        [*program, *map(str, words[1:])], capture_output=True, text=True, env=os.environ
    )


def kept(folder):
    return len((folder / "tasks.jsonl").read_text().splitlines())


def test_papermill_alone_from_another_folder_with_one_parameter(given, tmp_path):
    assert (
        "papermill notebooks/03_filter_tasks.ipynb out.ipynb -f params/demo.yaml -p novelty_limit 0.6"
        in README
    )
    book, profile = (
        paths.root() / "notebooks/03_filter_tasks.ipynb",
        paths.root() / "params/demo.yaml",
    )
    done = command("papermill", book, "out.ipynb", "-f", profile, "-p", "novelty_limit", 0.4)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (
        kept(given / "demo") < kept(SHIPPED)
        and Path("out.ipynb").exists()
        and not Path("outputs").exists()
    )


def test_one_notebook_alone_and_a_second_run_beside_the_first(given):
    assert "run params/demo.yaml 03 04" in README and "--set run=strict novelty_limit=0.6" in README
    profile = paths.root() / "params/demo.yaml"
    shutil.copytree(given / "demo", given / "strict")
    done = command("medinstruct", "run", profile, "03", "--set", "run=strict", "novelty_limit=0.4")
    assert done.returncode == 0 and kept(given / "strict") < kept(SHIPPED)
    assert json.loads((given / "strict/filtering.json").read_text()) != json.loads(
        (SHIPPED / "filtering.json").read_text()
    )
    assert not (given / "demo/tasks.jsonl").exists(), "the other run is left alone"


def test_another_profile_is_another_file_of_the_same_keys(given, tmp_path):
    text = (
        (paths.root() / "params/colab.yaml")
        .read_text()
        .replace("run: colab", "run: mine")
        .replace("requests: 400", "requests: 12")
    )
    (tmp_path / "mine.yaml").write_text(text)
    done = command("medinstruct", "run", tmp_path / "mine.yaml", "01", "02")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len((given / "mine/raw_tasks.jsonl").read_text().splitlines()) > 50


def test_every_command_of_the_readme_is_one_that_the_program_knows():
    """Each line is given to the program's own reader; nothing is run."""
    import shlex

    from medinstruct.__main__ import _parser

    joined = README.replace("\\\n", " ")
    lines = [
        line.partition("  #")[0]
        for line in joined.splitlines()
        if line.startswith(".venv/bin/python -m medinstruct ")
    ]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(line)[3:]
        found = _parser().parse_args(words)
        assert found.command == words[0]
