"""The ways of README and docs to run again: another profile, one parameter, one notebook alone, two runs side by side, another folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medinstruct import __main__ as cli
from medinstruct import manifest, paths

SHIPPED = paths.root() / "outputs/demo"
PAGES = [paths.root() / "README.md", *sorted((paths.root() / "docs").glob("*.md"))]
DOCS = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


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
    """A command of the pages, with this environment's programs, from the folder that the test is in."""
    program = [sys.executable, "-m", words[0]]
    return subprocess.run(
        [*program, *map(str, words[1:])], capture_output=True, text=True, env=os.environ
    )


def kept(folder):
    return len((folder / "tasks.jsonl").read_text().splitlines())


def test_papermill_alone_from_another_folder_reads_one_run_and_writes_another(given, tmp_path):
    assert "medinstruct params demo 03 > 03.yaml" in DOCS
    assert (
        "papermill notebooks/03_filter_tasks.ipynb out.ipynb -f 03.yaml -p run strict -p read_from demo -p novelty_limit 0.6"
        in DOCS
    )
    before = manifest.of_path(given / "demo")
    Path("03.yaml").write_text(command("medinstruct", "params", "demo", "03").stdout)
    book = paths.root() / "notebooks/03_filter_tasks.ipynb"
    given_values = ["-f", "03.yaml", "-p", "run", "strict", "-p", "read_from", "demo"]
    done = command("papermill", book, "out.ipynb", *given_values, "-p", "novelty_limit", 0.4)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "unknown parameter" not in done.stderr + done.stdout
    assert kept(given / "strict") < kept(SHIPPED)
    assert Path("out.ipynb").exists() and not Path("outputs").exists()
    assert manifest.of_path(given / "demo") == before, "the other run is left alone"
    compared = command("medinstruct", "compare", SHIPPED, given / "strict").stdout
    assert "novelty_limit" in compared, "compare sees what papermill alone was given"


def test_another_profile_is_another_file(given, tmp_path, no_kernels):
    (tmp_path / "mine.yaml").write_text("base: colab\nrun: mine\nrequests: 12\n")
    assert cli.main(["run", str(tmp_path / "mine.yaml"), "01", "02"]) == 0
    assert len((given / "mine/raw_tasks.jsonl").read_text().splitlines()) > 50


def test_every_command_of_readme_and_docs_is_one_that_the_program_knows():
    """Each line is given to the program's own reader; nothing is run."""
    import shlex

    from medinstruct.__main__ import _parser

    joined = DOCS.replace("\\\n", " ")
    lines = [
        line.partition("  #")[0]
        for line in joined.splitlines()
        if line.startswith(".venv/bin/python -m medinstruct ")
    ]
    assert len(lines) >= 15
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])[3:]
        found = _parser().parse_args(words)
        assert found.command == words[0]
