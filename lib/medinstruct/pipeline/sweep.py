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
    params/grids/data_size.yaml. Finished cells are not run again; a failed cell does not
    stop the others.
    """
    axes, rows, failed = read_grid(grid), [], []
    cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    out = [paths.outputs(params.merged(profile, _sets(cell, sets))["run"]) for cell in cells][0]
    for name in paths.metadata(paths.notebook("08_finetune_lora"))["reads"]:
        if not (out / name).exists():
            raise paths.missing(out / name, run=out.name)
    for cell in cells:
        name = "-".join(f"{key}-{_text(value)}" for key, value in cell.items())
        folder = paths.outputs(f"{out.name}-" + re.sub(r"[^\w.-]", "_", name))
        where = [f"run={folder.name}", f"read_from={out.name}"]
        try:
            line = run(profile, only=["08"], sets=[*_sets(cell, sets), *where])[0]
            training = paths.read_json(folder / "training.json")
            measured = {key: training["lora"].get(key) for key in COLUMNS}
            rows.append(cell | measured | {"complete": training.get("gate", {}).get("share")})
            yield f"{folder.name}: {line}"
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
    return [*sets, *(f"{key}={_text(value)}" for key, value in cell.items())]


def _text(value: Any) -> str:
    """Return a value as one line of YAML, such as {max_length: 512}."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).splitlines()[0]


def summary(rows: Sequence[dict[str, Any]], axes: Sequence[str]) -> pd.DataFrame:
    """Return mean held-out losses over seeds with 95% t intervals, a row a cell of other axes.

    `gain` is the fall from the base model, which each seed tests on the same held-out examples.
    """
    maps = {name for name in axes if any(isinstance(row[name], list | dict) for row in rows)}
    rows = [row | {name: _text(row[name]) for name in maps} for row in rows]
    frame = pd.DataFrame(rows).assign(all="tuned")
    frame["gain"] = frame["eval_before"] - frame["eval_after"]
    groups = frame.groupby([name for name in axes if name != "seed"] or "all", sort=False)
    table = groups.agg(examples=("examples", "mean"), base=("eval_before", "mean"))
    table = table.assign(examples=table["examples"].round().astype(int), seeds=groups.size())
    few = table["seeds"] < LEAST
    t = [stats.t_quantile(0.975, n - 1) for n in table["seeds"].mask(few, LEAST)]
    for name, column in {"": groups["eval_after"], "gain_": groups["gain"]}.items():
        mean, reach = column.mean(), (column.sem() * t).mask(few)
        ends = {"mean": mean, "low": mean - reach, "high": mean + reach}
        table = table.assign(**{name + key: end for key, end in ends.items()})
    return table.reset_index()


def _compare(rows: list[dict[str, Any]], axes: list[str], out: Path) -> Iterator[str]:
    """Write sweep_<axes>.json with all cells and their means, and the figure; yield the table."""
    name, means = f"sweep_{'_'.join(axes)}", summary(rows, axes)
    content = {"cells": rows, "means": means.to_dict("records"), "varies": VARIES}
    records.write_json(out / f"{name}.json", content)
    figure = _chart(means, [axis for axis in axes if axis != "seed"])
    plotting.show(figure, name, folder=out, data=means.set_index(means.columns[0]))
    yield from (means.round(3).to_string(index=False), VARIES)
    yield f"The figure is {out / 'figures' / name}.svg"
    best = min(means.to_dict("records"), key=lambda row: row["mean"])
    place = ", ".join(f"{axis} {best[axis]}" for axis in axes if axis != "seed") or "all cells"
    text = f"The held-out loss is lowest at {place}: from {best['base']:.2f} to {best['mean']:.2f}"
    ends = f"95% t interval {best['low']:.2f} to {best['high']:.2f}, {best['seeds']} seeds"
    yield f"{text} nats per token ({ends if best['seeds'] >= LEAST else 'too few seeds'})."


def _chart(means: pd.DataFrame, axes: list[str]) -> Any:
    """Draw mean held-out losses over examples, or over the first axis; other axes name lines."""
    rows = means.to_dict("records")
    best = min(rows, key=lambda row: row["mean"])
    place = ", ".join(f"{name} {best[name]}" for name in axes)
    over = "examples" if "train_share" in axes or not axes else axes[0]
    names = {n: f"{n} ".removeprefix("base_model ") for n in axes if n not in (over, "train_share")}
    lines = [", ".join(f"{text}{row[n]}" for n, text in names.items()) or "tuned" for row in rows]
    bases = [f"base, {line}" if names and means["base"].nunique() > 1 else "base" for line in lines]
    means = means.assign(line=lines, bases=bases).round(6)
    means[over] = means[over] if over == "examples" else means[over].astype(str)
    pairs = {"mean": "line", "base": "bases", "low": "line", "high": "line"}
    mean, base, *ends = (means.pivot_table(k, over, v, sort=False) for k, v in pairs.items())
    bars = "bars: 95% t interval" if means["low"].notna().any() else f"no interval below {LEAST}"
    seeds = " or ".join(map(str, sorted(means["seeds"].unique())))
    table = mean.join(base).rename_axis(f"{over.replace('_', ' ')} (seeds: {seeds}; {bars})")
    table = table.sort_index() if over == "examples" else table
    form = {"label": "nats per response token", "log": over == "examples", "ends": ends}
    return plotting.lines(table, title=f"Lowest held-out loss: {best['mean']:.2f}, {place}", **form)
