"""A sweep runs notebook 08 in each cell of a grid, on the data of one run, and draws the comparison."""

import json

import nbformat as nf
import pytest
import scipy.stats

from medinstruct import paths
from medinstruct.errors import UserError
from medinstruct.pipeline import sweep as grid

CODE = """import json
from medinstruct import paths
from medinstruct.errors import UserError
out = paths.outputs(run)
rows = len((out / "dataset.jsonl").read_text().splitlines())
if seed == 3:
    raise UserError("The memory is full.")
after = 3.0 - lora_rank / 10 + seed / 100
lora = {"eval_before": 3.0 + seed / 100, "eval_after": after, "trainable": lora_rank, "examples": rows}
_ = (out / "training.json").write_text(json.dumps({"lora": lora, "gate": {"share": 1.0}}))"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name in ("notebooks", "params", "outputs/t/student"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params/p.yaml").write_text("run: t\nlora_rank: 2\n")
    (tmp_path / "params/grid.yaml").write_text("lora_rank: [4]\nseed: [1, 2, 3]\n")
    values = 'run: str = "t"  # Name.\nread_from: str = ""  # Run to read.\nlora_rank: int = 2  # Rank.\nseed: int = 1  # Seed.'
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


def test_a_failed_cell_ends_no_other_and_a_repeated_command_runs_only_what_is_missing(
    house, no_kernels
):
    form = {"grid": ["params/grid.yaml"]}
    with pytest.raises(UserError, match="dataset.jsonl"):
        list(grid.run_grid("params/p.yaml", **form))
    assert [path.name for path in (house / "outputs").iterdir()] == ["t"], "no empty run is left"
    (house / "outputs/t/dataset.jsonl").write_text("{}\n{}\n")
    lines = []
    with pytest.raises(UserError, match="1 of 3 cells of the grid failed") as error:
        lines.extend(grid.run_grid("params/p.yaml", **form))  # what it yields is kept
    assert error.value.got == "t-lora_rank-4-seed-3"
    assert [" done in " in line for line in lines[:3]] == [True, True, False]
    assert "The memory is full" in lines[2]
    content = json.loads((house / "outputs/t/sweep_lora_rank_seed.json").read_text())
    assert [row["seeds"] for row in content["means"]] == [2] and len(content["cells"]) == 2
    assert content["means"][0]["low"] is None, "two seeds give no interval"
    words = "lowest at lora_rank 4: from 3.01 to 2.62 nats per token (too few seeds)."
    assert lines[-1].endswith(words)
    figures = house / "outputs/t/figures"
    assert (figures / "sweep_lora_rank_seed.svg").exists()
    assert (figures / "sweep_lora_rank_seed.csv").read_text().startswith("lora_rank,examples,base")
    again = []
    with pytest.raises(UserError, match="1 of 3"):
        again.extend(grid.run_grid("params/p.yaml", **form))
    assert ["up to date" in line for line in again[:3]] == [True, True, False]


def test_nonsense_is_refused_before_the_first_cell(house):
    (house / "outputs/t/dataset.jsonl").write_text("{}\n")
    for empty in (["lora_rank="], ["lora_rank", "seed=1"]):
        with pytest.raises(UserError, match="no values"):
            next(grid.run_grid("params/p.yaml", grid=empty))
    with pytest.raises(UserError, match="Did you mean `lora_rank`"):
        next(grid.run_grid("params/p.yaml", grid=["lora_rnk=4"]))
    with pytest.raises(UserError, match="lora_rank"):
        next(grid.run_grid("params/p.yaml", grid=["lora_rank=4,many"]))


def cells(seeds, shares=(0.1, 1.0), **more):
    """Invented cells: a seed moves the loss of base and tuned model alike."""
    rows = [{"train_share": share, "seed": seed} | more for share in shares for seed in seeds]
    for row in rows:
        share, seed = row["train_share"], row["seed"]
        row |= {"eval_before": 3 + seed / 10, "eval_after": 2 + seed / 10 - share / 2}
        row["examples"] = 400 * share + seed
    return rows


def test_the_interval_of_three_seeds_is_students_and_the_gain_is_paired():
    table = grid.summary(cells([1, 2, 3]), ["train_share", "seed"])
    assert table["mean"].tolist() == pytest.approx([2.15, 1.7])
    low, high = scipy.stats.t.interval(0.95, 2, loc=2.15, scale=0.1 / 3**0.5)
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([low, high])
    assert table["seeds"].tolist() == [3, 3] and table["examples"].tolist() == [42, 402]
    ends = table[["gain_low", "gain_high"]].loc[0].tolist()
    assert ends == pytest.approx([1.05, 1.05]), "each seed has its own held-out examples"
    few = grid.summary(cells([1, 2]), ["train_share", "seed"])
    assert few["mean"].notna().all() and few[["low", "high", "gain_low"]].isna().all(axis=None)


def test_an_axis_may_hold_maps():
    rows = [r for n in (8, 16) for r in cells([1, 2, 3], (1.0,), options={"batch_size": n})]
    table = grid.summary(rows, ["options", "seed"])
    assert table["options"].tolist() == ["{batch_size: 8}", "{batch_size: 16}"]
    assert table["seeds"].tolist() == [3, 3]
    assert grid._sets({"options": {"a": 1, "b": [2]}}, ["x=1"]) == ["x=1", "options={a: 1, b: [2]}"]


def test_a_line_is_a_value_of_the_other_axis_and_base_is_dashed():
    rows = [r for m in ("a/small", "a/large") for r in cells([1, 2, 3], base_model=m)]
    for row in rows[6:]:
        row["eval_before"] -= 1
    names = ["base_model", "train_share"]
    (axes,) = grid._chart(grid.summary(rows, [*names, "seed"]), names).axes
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert styles == {"a/small": "-", "a/large": "-", "base, a/small": "--", "base, a/large": "--"}
    assert axes.get_xscale() == "log" and len(axes.collections) == 2
    assert axes.get_xlabel() == "examples (seeds: 3; bars: 95% t interval)"
    (axes,) = grid._chart(grid.summary(cells([1]), ["train_share"]), ["train_share"]).axes
    assert axes.get_xlabel() == "examples (seeds: 1; no interval below 3)"
    assert not axes.collections, "points without an interval"


def test_shipped_grids_name_parameters_of_the_notebook():
    from medinstruct import params

    known = params.declared(paths.root() / "notebooks" / "08_finetune_lora.ipynb")
    grids = list((paths.root() / "params" / "grids").glob("*.yaml"))
    assert len(grids) == 3
    for path in grids:
        axes = grid.read_grid([str(path)])
        assert len(axes["seed"]) == 3
        for name, values in axes.items():
            assert [params.typed(name, value, known[name][0]) for value in values]


def test_the_values_of_a_grid_are_read_as_yaml():
    axes = grid.read_grid(["lora_rank=4,8", "template=chat"])
    assert axes == {"lora_rank": [4, 8], "template": ["chat"]}
