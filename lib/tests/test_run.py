"""The runner on small notebooks: order, up to date, failures that name the cell."""

import nbformat as nf
import pytest

from medinstruct import paths
from medinstruct.errors import Problem
from medinstruct.run import runner


def notebook(folder, name, reads, writes, code):
    cells = [
        nf.v4.new_code_cell(
            'run: str = "t"  # Name.\nsize: int = 1  # Size.', metadata={"tags": ["parameters"]}, id="parameters"
        )
    ]
    cells.append(nf.v4.new_code_cell(f"from medinstruct import paths\nout = paths.outputs(run)\n{code}", id="work"))
    book = nf.v4.new_notebook(cells=cells, metadata={"medinstruct": {"reads": reads, "writes": writes}})
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nf.write(book, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name in ("notebooks", "params"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params" / "p.yaml").write_text("run: t\nsize: 1\n")
    notebook(tmp_path, "01_one", [], ["a.txt"], '(out / "a.txt").write_text("x" * size)')
    notebook(tmp_path, "02_two", ["a.txt"], ["b.txt"], '(out / "b.txt").write_text((out / "a.txt").read_text() * 2)')
    return tmp_path


def test_what_is_up_to_date_is_not_run_again_and_a_new_value_is(house):
    assert all("done" in line for line in runner.run("params/p.yaml"))
    assert all("up to date" in line for line in runner.run("params/p.yaml"))
    runner.run("params/p.yaml", sets=["size=3"])
    assert (house / "outputs/t/b.txt").read_text() == "x" * 6


def test_a_failure_names_notebook_and_cell_and_keeps_finished_work(house):
    notebook(house, "02_two", ["a.txt"], ["b.txt"], "1 / 0")
    with pytest.raises(Problem, match=r"02_two stopped at cell `work`(.|\n)*ZeroDivisionError"):
        runner.run("params/p.yaml")
    notebook(house, "02_two", ["a.txt"], ["b.txt"], '(out / "b.txt").write_text("")')
    assert "01_one: up to date" in runner.run("params/p.yaml")


def test_a_typo_and_a_number_as_text_are_refused_before_anything_runs(house):
    with pytest.raises(Problem, match="Did you mean `size`"):
        runner.run("params/p.yaml", sets=["sise=2"])
    with pytest.raises(Problem, match="`size` must be int"):
        runner.run("params/p.yaml", sets=["size=2e-4"])
    assert not list((house / "outputs/t").glob("*.txt")) if (house / "outputs/t").exists() else True
