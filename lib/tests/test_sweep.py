"""A sweep runs notebook 08 in each cell of a grid, on the data of one run, and draws the comparison."""

import json

import nbformat as nf
import pytest

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.pipeline import sweep as grid

CODE = """import json
from medinstruct import paths
out = paths.outputs(run)
rows = len((out / "dataset.jsonl").read_text().splitlines())
lora = {"eval_before": 3.0, "eval_after": 3.0 - lora_rank / 10 - rows * rate, "trainable": lora_rank, "examples": rows}
_ = (out / "training.json").write_text(json.dumps({"lora": lora, "gate": {"share": 1.0}}))"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name in ("notebooks", "params", "outputs/t/student"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params/p.yaml").write_text("run: t\nlora_rank: 2\nrate: 0.1\n")
    (tmp_path / "params/grid.yaml").write_text("lora_rank: [4]\nrate: [0.1, 0.2]\n")
    values = 'run: str = "t"  # Name.\nread_from: str = ""  # Run to read.\nlora_rank: int = 2  # Rank.\nrate: float = 0.1  # Rate.'
    cells = [
        nf.v4.new_code_cell(values, metadata={"tags": ["parameters"]}, id="parameters"),
        nf.v4.new_code_cell(CODE, id="work"),
    ]
    book = nf.v4.new_notebook(cells=cells)
    book.metadata |= {"medinstruct": {"reads": ["dataset.jsonl"], "writes": ["training.json"]}}
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nf.write(book, tmp_path / "notebooks" / "08_finetune_lora.ipynb")
    return tmp_path


def test_each_cell_runs_once_and_the_comparison_names_the_best(house):
    with pytest.raises(UserError, match="dataset.jsonl"):
        grid.run_grid("params/p.yaml", grid=["lora_rank=4,8"])
    assert [path.name for path in (house / "outputs").iterdir()] == ["t"], "no empty run is left"
    (house / "outputs/t/dataset.jsonl").write_text("{}\n{}\n")
    lines = grid.run_grid("params/p.yaml", grid=["lora_rank=4,8"])
    assert [": done" in line.replace("08_finetune_lora", "") for line in lines] == [
        True,
        True,
        False,
    ]
    found = json.loads((house / "outputs/t/sweep_lora_rank.json").read_text())
    assert [row["eval_after"] for row in found] == pytest.approx([2.4, 2.0])
    assert (house / "outputs/t/figures/sweep_lora_rank.svg").exists()
    assert (
        (house / "outputs/t/figures/sweep_lora_rank.csv")
        .read_text()
        .startswith("lora_rank,eval_before,eval_after")
    )
    assert all(
        "up to date" in line for line in grid.run_grid("params/p.yaml", grid=["lora_rank=4,8"])[:2]
    )


def test_a_grid_file_gives_every_combination_and_nonsense_is_refused(house):
    (house / "outputs/t/dataset.jsonl").write_text("{}\n")
    assert len(grid.run_grid("params/p.yaml", grid=["params/grid.yaml"])) == 3
    for empty in (["lora_rank="], ["lora_rank", "rate=0.1"]):
        with pytest.raises(UserError, match="no values"):
            grid.run_grid("params/p.yaml", grid=empty)
    with pytest.raises(UserError, match="Did you mean `lora_rank`"):
        grid.run_grid("params/p.yaml", grid=["lora_rnk=4"])


def test_shipped_grids_name_parameters_of_the_notebook():
    from medinstruct import params

    known = params.declared(paths.root() / "notebooks" / "08_finetune_lora.ipynb")
    grids = list((paths.root() / "params" / "grids").glob("*.yaml"))
    assert len(grids) == 2
    for path in grids:
        for name, values in grid.read_grid([str(path)]).items():
            assert [params.typed(name, value, known[name][0]) for value in values]


def test_the_values_of_a_grid_are_read_as_yaml():
    axes = grid.read_grid(["lora_rank=4,8", "template=chat"])
    assert axes == {"lora_rank": [4, 8], "template": ["chat"]}
