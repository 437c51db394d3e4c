"""Sweep: fine-tune at every cell of a grid and compare the held-out losses over seeds."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from medinstruct import params, paths, plotting, records, stats
from medinstruct.errors import UserError
from medinstruct.pipeline.runner import run

COLUMNS = ("eval_before", "eval_after", "trainable", "examples", "steps", "seconds")
LEAST = 3  # seeds: fewer are drawn without an interval
VARIES = "A seed sets the held-out examples, the order of the rest, and the adapter's first weights"


def run_grid(profile: str, *, grid: Sequence[str], sets: Sequence[str] = ()) -> Iterator[str]:
    """Run notebook 08 for each cell of the grid into outputs/<run>-<cell>/; yield lines to print.

    `grid` is `key=value,value …`, or the path of a YAML file with lists such as
    params/grids/data_size.yaml. Finished cells are not run again; one that fails ends no other.
    """
    axes, rows, failed = read_grid(grid), [], []
    cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    out = [paths.outputs(params.merged(profile, _sets(cell, sets))["run"]) for cell in cells][0]
    for name in paths.metadata(paths.notebook("08_finetune_lora"))["reads"]:
        if not (out / name).exists():
            raise paths.missing(out / name)
    for cell in cells:
        name = "-".join(f"{key}-{value}" for key, value in cell.items())
        folder = paths.outputs(f"{out.name}-" + re.sub(r"[^\w.-]", "_", name))
        where = [f"run={folder.name}", f"read_from={out.name}"]
        try:
            outcome = run(profile, only=["08"], sets=[*_sets(cell, sets), *where])[0]
            training = paths.read_json(folder / "training.json")
            measured = {key: training["lora"].get(key) for key in COLUMNS}
            rows.append(cell | measured | {"complete": training.get("gate", {}).get("share")})
            yield f"{folder.name}: {outcome.line}"
        except UserError as error:
            failed.append(folder.name)
            yield f"{folder.name}: failed: {error}"
    yield from _compare(rows, list(axes), out) if rows else ()
    if failed:
        what = f"{len(failed)} of {len(cells)} cells of the grid failed."
        do = "Repeat the command: finished cells are not run again."
        raise UserError(what, got=", ".join(failed), do=do)


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


def _sets(cell: dict[str, Any], sets: Sequence[str]) -> list[str]:
    return [*sets, *(f"{k}={yaml.safe_dump(v).splitlines()[0]}" for k, v in cell.items())]


def summary(rows: Sequence[dict[str, Any]], axes: Sequence[str]) -> pd.DataFrame:
    """Return mean held-out losses over seeds with 95% t intervals, a row a cell of other axes.

    `gain` is the fall from the base model, which each seed tests on the same held-out examples.
    """
    frame, means = pd.DataFrame(rows), []
    others = [name for name in axes if name != "seed"]
    frame = frame.assign(gain=frame["eval_before"] - frame["eval_after"], every="")
    for _, part in frame.groupby(others or ["every"], sort=False):
        row = dict(part[others].iloc[0]) | {"examples": round(part["examples"].mean())}
        row |= {"base": part["eval_before"].mean(), "seeds": len(part)}
        for name, column in {"": part["eval_after"], "gain_": part["gain"]}.items():
            reach = float("nan")
            if len(part) >= LEAST:
                reach = stats.t_quantile(0.975, len(part) - 1) * column.sem()
            ends = {"low": column.mean() - reach, "high": column.mean() + reach}
            row |= {f"{name}{key}": end for key, end in ({"mean": column.mean()} | ends).items()}
        means.append(row)
    return pd.DataFrame(means)


def _compare(rows: list[dict[str, Any]], axes: list[str], out: Path) -> Iterator[str]:
    """Write sweep_<axes>.json with all cells and their means, and the figure; yield the table."""
    name, means = f"sweep_{'_'.join(axes)}", summary(rows, axes)
    content = {"cells": rows, "means": means.to_dict("records"), "varies": VARIES}
    records.write_json(out / f"{name}.json", content)
    figure = _chart(means, [axis for axis in axes if axis != "seed"])
    plotting.show(figure, name, folder=out, data=means.set_index(means.columns[0]))
    yield means.round(3).to_string(index=False)
    yield f"{VARIES}. The figure is {out / 'figures' / name}.svg"


def _chart(means: pd.DataFrame, axes: list[str]) -> Any:
    """Draw mean held-out losses over examples, or over the first axis; other axes name lines."""
    best = min(means.to_dict("records"), key=lambda row: row["mean"])
    place = ", ".join(f"{name} {best[name]}" for name in axes)
    title = f"Lowest held-out loss: {best['mean']:.2f}" + (f" at {place}" if place else "")
    over = "examples" if "train_share" in axes or not axes else axes[0]
    rest = [name for name in axes if name not in (over, "train_share")]
    names = {name: f"{name} ".removeprefix("base_model ") for name in rest}
    lines = [", ".join(f"{names[n]}{row[n]}" for n in rest) for row in means.to_dict("records")]
    means = means.assign(line=[line or "tuned" for line in lines])
    is_one = means["base"].round(4).nunique() == 1 or not rest
    means["base line"] = "base" if is_one else "base, " + means["line"]
    means[over] = means[over] if over == "examples" else means[over].astype(str)
    pairs = {"mean": "line", "base": "base line", "low": "line", "high": "line"}
    mean, base, *ends = (means.pivot_table(k, over, v, sort=False) for k, v in pairs.items())
    seeds = " or ".join(map(str, sorted(means["seeds"].unique())))
    bars = "bars: 95% t interval" if means["seeds"].max() >= LEAST else f"no interval below {LEAST}"
    table = mean.join(base).rename_axis(f"{over.replace('_', ' ')} (seeds: {seeds}; {bars})")
    table = table.sort_index() if over == "examples" else table
    form = {"label": "nats a response token", "log": over == "examples"}
    return plotting.lines(table, title=title, ends=ends, **form)
