"""Sweep: fine-tune at every cell of a grid and compare the held-out losses."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from medinstruct import params, paths, plotting, records
from medinstruct.errors import UserError
from medinstruct.pipeline.runner import run

NOTEBOOK = "07"
INPUTS = ("dataset.jsonl", "dataset.reviewed.jsonl", "student")
COLUMNS = ("eval_before", "eval_after", "trainable", "examples", "steps", "seconds")


def run_grid(profile: str, *, grid: list[str], sets: list[str] | None = None) -> list[str]:
    """Run notebook 07 for each cell of the grid into outputs/<run>-<cell>/; return lines to print.

    `grid` is `key=value,value …`, or the path of a YAML file with lists such as
    params/grids/data_size.yaml. Finished cells are not run again.
    """
    axes = read_grid(grid)
    values = params.profile(profile) | params.set_values(sets or [])
    out, lines, rows = paths.outputs(str(values.get("run", "demo"))), [], []
    for combination in itertools.product(*axes.values()):
        cell = dict(zip(axes, combination, strict=True))
        folder = paths.outputs(f"{out.name}-{slug(cell)}")
        _copy_inputs(out, folder)
        pairs = [f"{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in cell.items()]
        own = [*(sets or []), *pairs, f"run={folder.name}"]
        outcome = run(profile, only=[NOTEBOOK], sets=own)[0]
        lines.append(f"{folder.name}: {outcome.line}")
        training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        measured = {key: training["lora"].get(key) for key in COLUMNS}
        rows.append(cell | measured | {"complete": training.get("gate", {}).get("share")})
    return [*lines, f"The comparison is {_write(out, list(axes), rows)}"]


def read_grid(grid: list[str]) -> dict[str, list[Any]]:
    """Return the axes of a grid: name -> values.

    >>> read_grid(["lora_rank=4,8", "method=lora"])
    {'lora_rank': [4, 8], 'method': ['lora']}
    """
    if len(grid) == 1 and "=" not in grid[0]:
        axes = yaml.safe_load(paths.resolve(grid[0]).read_text(encoding="utf-8"))
    else:
        axes = {}
        for text in grid:
            key, _, values = text.partition("=")
            parts = [part for part in values.split(",") if part]
            axes[key] = [params.set_values([f"{key}={part}"])[key] for part in parts]
    lists = axes.values() if isinstance(axes, dict) else [None]
    if not axes or not all(isinstance(values, list) and values for values in lists):
        do = "For example --grid lora_rank=4,8,16 learning_rate=2.0e-4,1.0e-3"
        raise UserError("The grid has no values.", got=" ".join(grid), do=do)
    return axes


def slug(cell: dict[str, Any]) -> str:
    """Return a folder name for a cell of the grid.

    >>> slug({"lora_rank": 4, "learning_rate": 0.005})
    'lora_rank-4-learning_rate-0.005'
    """
    text = "-".join(f"{key}-{value}" for key, value in cell.items())
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)


def chart(rows: list[dict[str, Any]], axes: list[str]) -> Any:
    """Draw the held-out loss over the first axis, one line for each value of the others."""
    frame = pd.DataFrame(rows)
    lowest = frame.loc[frame["eval_after"].idxmin()]
    best = ", ".join(f"{name} {lowest[name]}" for name in axes)
    title = f"Lowest held-out loss: {lowest['eval_after']:.2f} at {best}"
    labels = [", ".join(f"{name} {row[name]}" for name in axes[1:]) for row in rows]
    frame["line"] = [label or "tuned" for label in labels]
    table = frame.pivot_table("eval_after", axes[0], "line", sort=False)
    table.index = [str(value) for value in table.index]
    table["base"] = rows[0]["eval_before"]
    return plotting.lines(table.rename_axis(axes[0]), title=title, label="nats a response token")


def _copy_inputs(out: Path, folder: Path) -> None:
    """Copy what the cell reads from the run that it varies."""
    if not (out / INPUTS[0]).exists():
        do = "Run the notebooks up to 04 for this profile first."
        raise UserError(f"{out.name} has no {INPUTS[0]} yet.", got=out, do=do)
    folder.mkdir(parents=True, exist_ok=True)
    for name in INPUTS:
        source, target = out / name, folder / name
        if source.is_dir() and not target.exists():
            shutil.copytree(source, target)
        elif source.is_file():
            shutil.copy2(source, target)


def _write(out: Path, axes: list[str], rows: list[dict[str, Any]]) -> Path:
    """Write table and figure of the comparison into the folder of the run that was varied."""
    name = f"sweep_{'_'.join(axes)}"
    records.write_json(out / f"{name}.json", rows)
    plotting.show(chart(rows, axes), name, folder=out, data=pd.DataFrame(rows).set_index(axes))
    return out / "figures" / f"{name}.svg"
