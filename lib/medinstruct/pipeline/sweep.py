"""One notebook at every cell of a grid of values, and the comparison: which setting, and how much data, is worth it."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from medinstruct import params, paths, plotting, records
from medinstruct.errors import UserError
from medinstruct.pipeline.runner import run

NOTEBOOK = "07"
# What the notebook reads, and what it would otherwise build anew in each cell.
NEEDS = ("dataset.jsonl", "dataset.reviewed.jsonl", "student")
SHOWN = ("eval_before", "eval_after", "trainable", "examples", "steps", "seconds")


def sweep(profile: str, *, grid: list[str], sets: list[str] | None = None) -> list[str]:
    """Run notebook 07 for each cell of the grid into outputs/<run>-<cell>/; returns one line a cell and the figure's path.

    `grid` is `key=value,value …`, or the path of a YAML file with lists such as params/grids/data_size.yaml. Finished cells
    are not run again.
    """
    axes = read_grid(grid)
    name = str((params.profile(profile) | params.set_values(sets or [])).get("run", "demo"))
    out, lines, rows = paths.outputs(name), [], []
    for values in (
        dict(zip(axes, cell, strict=True)) for cell in itertools.product(*axes.values())
    ):
        cell = paths.outputs(f"{name}-{slug(values)}")
        _lend(out, cell)
        pairs = [f"{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in values.items()]
        lines += [
            f"{cell.name}: {line}"
            for line in run(
                profile, only=[NOTEBOOK], sets=[*(sets or []), *pairs, f"run={cell.name}"]
            )
        ]
        found = json.loads((cell / "training.json").read_text(encoding="utf-8"))
        rows.append(
            values
            | {key: found["lora"].get(key) for key in SHOWN}
            | {"ends": found.get("gate", {}).get("share")}
        )
    return [*lines, f"The comparison is {_kept(out, list(axes), rows)}"]


def read_grid(given: list[str]) -> dict[str, list[Any]]:
    """The axes of a grid: name -> values.

    >>> read_grid(["lora_rank=4,8", "method=lora"])
    {'lora_rank': [4, 8], 'method': ['lora']}
    """
    if len(given) == 1 and "=" not in given[0]:
        found = yaml.safe_load(paths.resolve(given[0]).read_text(encoding="utf-8"))
    else:
        pairs = [text.partition("=") for text in given]
        found = {
            key: [params.set_values([f"{key}={v}"])[key] for v in values.split(",") if v]
            for key, _, values in pairs
        }
    if (
        not isinstance(found, dict)
        or not found
        or not all(isinstance(v, list) and v for v in found.values())
    ):
        raise UserError(
            "The grid has no values.",
            got=" ".join(given),
            do="For example --grid lora_rank=4,8,16 learning_rate=2.0e-4,1.0e-3",
        )
    return found


def slug(values: dict[str, Any]) -> str:
    """A folder name for a cell of the grid.

    >>> slug({"lora_rank": 4, "learning_rate": 0.005})
    'lora_rank-4-learning_rate-0.005'
    """
    text = "-".join(f"{key}-{value}" for key, value in values.items())
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)


def chart(rows: list[dict[str, Any]], axes: list[str]) -> Any:
    """The held-out loss over the first axis, one line for each value of the others; the title names the best cell."""
    import matplotlib.pyplot as plt

    figure, plot = plt.subplots(figsize=(7.5, 3.4))
    rest = axes[1:]
    for others in sorted({_order(row, rest) for row in rows}):
        members = sorted(
            (row for row in rows if _order(row, rest) == others),
            key=lambda row: _order(row, axes[:1]),
        )
        label = ", ".join(f"{name} {members[0][name]}" for name in rest)
        plot.plot(
            [str(row[axes[0]]) for row in members],
            [row["eval_after"] for row in members],
            "o-",
            label=label or None,
        )
    best = min(rows, key=lambda row: row["eval_after"])
    named = ", ".join(f"{name} {best[name]}" for name in axes)
    plot.axhline(rows[0]["eval_before"], color=plotting.GREY, ls="--", lw=1)
    plot.annotate(
        "base",
        (0, rows[0]["eval_before"]),
        xytext=(2, 3),
        textcoords="offset points",
        color=plotting.GREY,
        fontsize=9,
    )
    plot.set(
        title=f"Lowest held-out loss: {best['eval_after']:.2f} at {named}",
        xlabel=axes[0],
        ylabel="nats a response token",
    )
    if rest:
        plot.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _order(row: dict[str, Any], axes: list[str]) -> tuple:
    return tuple((isinstance(row[name], str), row[name]) for name in axes)


def _lend(out: Path, cell: Path) -> None:
    """What the cell needs of the run that it varies."""
    if not (out / NEEDS[0]).exists():
        raise UserError(
            f"{out.name} has no {NEEDS[0]} yet.",
            got=out,
            do="Run the notebooks up to 04 for this profile first.",
        )
    cell.mkdir(parents=True, exist_ok=True)
    for name in NEEDS:
        if (out / name).is_dir() and not (cell / name).exists():
            shutil.copytree(out / name, cell / name)
        elif (out / name).is_file() and (
            not (cell / name).exists() or (cell / name).read_bytes() != (out / name).read_bytes()
        ):
            shutil.copyfile(out / name, cell / name)


def _kept(out: Path, axes: list[str], rows: list[dict[str, Any]]) -> Path:
    """Table and figure of the comparison, in the folder of the run that was varied."""
    import matplotlib

    matplotlib.use("Agg")
    import pandas as pd

    plotting.style()
    name = "sweep_" + "_".join(axes)
    records.write_json(out / f"{name}.json", rows)
    losses = ", ".join(
        f"{slug({a: row[a] for a in axes})}: {row['eval_after']:.2f}" for row in rows
    )
    plotting.show(
        chart(rows, axes),
        name,
        folder=out,
        alt=f"Held-out loss by cell. {losses}",
        data=pd.DataFrame(rows).set_index(axes),
    )
    return out / "figures" / f"{name}.svg"
