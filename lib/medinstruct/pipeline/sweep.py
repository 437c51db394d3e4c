"""Sweep: fine-tune at every cell of a grid and compare the held-out losses."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from medinstruct import params, paths, plotting, records
from medinstruct.errors import UserError
from medinstruct.pipeline.runner import run

COLUMNS = ("eval_before", "eval_after", "trainable", "examples", "steps", "seconds")


def run_grid(profile: str, *, grid: Sequence[str], sets: Sequence[str] = ()) -> list[str]:
    """Run notebook 08 for each cell of the grid into outputs/<run>-<cell>/; return lines to print.

    `grid` is `key=value,value …`, or the path of a YAML file with lists such as
    params/grids/data_size.yaml. Finished cells are not run again.
    """
    axes = read_grid(grid)
    out, lines, rows = paths.outputs(params.merged(profile, sets)["run"]), [], []
    for name in paths.metadata(paths.notebook("08_finetune_lora"))["reads"]:
        if not (out / name).exists():
            raise paths.missing(out / name)
    for combination in itertools.product(*axes.values()):
        cell = dict(zip(axes, combination, strict=True))
        name = "-".join(f"{key}-{value}" for key, value in cell.items())
        folder = paths.outputs(f"{out.name}-" + re.sub(r"[^\w.-]", "_", name))
        pairs = [f"{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in cell.items()]
        where = [f"run={folder.name}", f"read_from={out.name}"]
        outcome = run(profile, only=["08"], sets=[*sets, *pairs, *where])[0]
        lines.append(f"{folder.name}: {outcome.line}")
        training = paths.read_json(folder / "training.json")
        measured = {key: training["lora"].get(key) for key in COLUMNS}
        rows.append(cell | measured | {"complete": training.get("gate", {}).get("share")})
    name = f"sweep_{'_'.join(axes)}"
    records.write_json(out / f"{name}.json", rows)
    table = pd.DataFrame(rows).set_index(list(axes))
    plotting.show(_chart(rows, list(axes)), name, folder=out, data=table)
    return [*lines, f"The comparison is {out / 'figures' / name}.svg"]


def read_grid(grid: Sequence[str]) -> dict[str, list[Any]]:
    """Return the axes of a grid: name -> values."""
    if len(grid) == 1 and "=" not in grid[0]:
        axes = paths.read_yaml(paths.resolve(grid[0]), do="Write `name: [value, value]` lines.")
    else:
        axes = {}
        for key, _, values in (text.partition("=") for text in grid):
            pairs = [f"{key}={value}" for value in values.split(",") if value]
            axes[key] = [params.set_values([pair])[key] for pair in pairs]
    lists = axes.values() if isinstance(axes, dict) else [None]
    if not axes or not all(isinstance(values, list) and values for values in lists):
        do = "For example --grid lora_rank=4,8,16 learning_rate=2.0e-4,1.0e-3"
        raise UserError("The grid has no values.", got=" ".join(grid), do=do)
    return axes


def _chart(rows: list[dict[str, Any]], axes: list[str]) -> Any:
    """Draw the held-out loss over the first axis, one line for each value of the others."""
    best = min(rows, key=lambda row: row["eval_after"])
    place = ", ".join(f"{name} {best[name]}" for name in axes)
    title = f"Lowest held-out loss: {best['eval_after']:.2f} at {place}"
    labels = [", ".join(f"{name} {row[name]}" for name in axes[1:]) or "tuned" for row in rows]
    frame = pd.DataFrame(rows).assign(line=labels)
    table = frame.pivot_table("eval_after", axes[0], "line", sort=False).rename(index=str)
    table["base"] = rows[0]["eval_before"]
    return plotting.lines(table, title=title, label="nats a response token")
