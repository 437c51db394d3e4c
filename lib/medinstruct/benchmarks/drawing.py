"""The figures of notebook 09; each title is the finding, computed from what is drawn."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medinstruct.plotting import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, note

COLORS = (GREY, BLUE, ORANGE, GREEN, PINK, SKY)


def score_bars(table: pd.DataFrame) -> Any:
    """Grouped bars of every benchmark that was run, with intervals, and marks for chance and for the majority class."""
    import matplotlib.pyplot as plt

    rows = table.dropna(subset=["score"])
    tasks, models = list(dict.fromkeys(rows["task"])), list(dict.fromkeys(rows["model"]))
    width = 0.8 / len(models)
    figure, axes = plt.subplots(figsize=(7.5, 1.4 + 0.3 * len(tasks) * (len(models) + 1)))
    for n, model in enumerate(models):
        part = rows[rows["model"] == model]
        places = [tasks.index(task) + width * (n - (len(models) - 1) / 2) for task in part["task"]]
        spread = [part["score"] - part["low"], part["high"] - part["score"]]
        color = COLORS[n % len(COLORS)]
        axes.barh(places, part["score"], height=width * 0.92, color=color, alpha=0.85, label=model)
        axes.errorbar(
            part["score"],
            places,
            xerr=spread,
            fmt="none",
            ecolor="#1b1f24",
            elinewidth=1.2,
            capsize=2.5,
        )
    first = rows.drop_duplicates("task")
    marks = [tasks.index(task) for task in first["task"]]
    for column, style in (("chance", "--"), ("majority", ":")):
        lines = first[column].to_numpy(dtype=float)
        axes.vlines(
            lines,
            [at - 0.46 for at in marks],
            [at + 0.46 for at in marks],
            color=RED,
            ls=style,
            lw=1.6,
            label=column,
        )
    named = rows.drop_duplicates("task").set_index("task")
    labels = [
        f"{named.loc[task, 'benchmark']}\nby {named.loc[task, 'variant']}, n={named.loc[task, 'n']:.0f}"
        for task in tasks
    ]
    axes.set_yticks(range(len(tasks)), labels)
    axes.invert_yaxis()
    top = max(rows["high"].max(), rows[["chance", "majority"]].max().max()) * 1.08
    axes.set(title=score_title(rows), xlabel="score with 95 % interval", xlim=(0, min(1.0, top)))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    return figure


def score_title(rows: pd.DataFrame) -> str:
    """How many results are above both baselines by more than their interval, of those that have one."""
    best = rows[["chance", "majority"]].max(axis=1).dropna()
    above = int((rows.loc[best.index, "low"] > best).sum())
    return f"{above or 'None'} of {len(best)} results {'is' if above <= 1 else 'are'} clearly above chance and majority"


def subject_change(
    table: pd.DataFrame, *, one: str = "base", other: str = "tuned", top: int = 24
) -> Any:
    """From one model to the other by subject: a line from point to point, the largest subjects, in order of change."""
    import matplotlib.pyplot as plt

    if not {one, other} <= set(table["model"]):
        return note("Nothing to draw: these questions name no subject, or only one model answered.")
    wide = table.pivot_table(index="subject", columns="model", values="score")[
        [one, other]
    ].dropna()
    sizes = table[table["model"] == one].set_index("subject")["n"]
    wide = wide.loc[
        sizes.reindex(wide.index).sort_values(ascending=False, kind="stable").index[:top]
    ]
    wide = wide.assign(change=wide[other] - wide[one]).sort_values(["change", one], kind="stable")
    figure, axes = plt.subplots(figsize=(7.5, 1.5 + 0.26 * len(wide)))
    places = range(len(wide))
    axes.hlines(
        places,
        wide[one],
        wide[other],
        color=[GREEN if up >= 0 else RED for up in wide["change"]],
        lw=2.5,
        alpha=0.6,
    )
    axes.plot(wide[one], places, "o", color=GREY, label=one, ms=6)
    axes.plot(wide[other], places, "D", color=BLUE, label=other, ms=5, alpha=0.85)
    axes.set_yticks(
        places, [f"{name.replace('_', ' ')} ({sizes[name]:.0f})" for name in wide.index]
    )
    up, down = int((wide["change"] > 0).sum()), int((wide["change"] < 0).sum())
    title = f"{up} subjects rise, {down} fall, {len(wide) - up - down} stay"
    axes.set(title=title, xlabel="accuracy (number of questions in brackets)", xlim=(-0.03, 1.03))
    axes.legend(
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
        fontsize=9,
        borderaxespad=0.1,
    )
    return figure


def level_lines(table: pd.DataFrame, *, chance: float) -> Any:
    """Accuracy against the level of difficulty, one line a model, with intervals."""
    import matplotlib.pyplot as plt

    if table.empty:
        return note("Nothing to draw: these questions carry no level.")
    figure, axes = plt.subplots(figsize=(7.5, 3.2))
    for n, (model, part) in enumerate(table.groupby("model", sort=False)):
        places = part["level"] + 0.06 * (n - 0.5)
        spread = [part["score"] - part["low"], part["high"] - part["score"]]
        axes.errorbar(
            places,
            part["score"],
            yerr=spread,
            fmt="o-",
            color=COLORS[n % len(COLORS)],
            capsize=3,
            label=model,
            lw=1.6,
        )
    axes.axhline(chance, color=RED, ls="--", lw=1.4, label="chance")
    axes.set_xticks(sorted(table["level"].unique()))
    axes.set(
        title=level_title(table), xlabel="level of difficulty", ylabel="accuracy, 95 % interval"
    )
    axes.set_ylim(0, min(1.05, max(0.6, table["high"].max() * 1.25)))
    axes.legend(
        frameon=False, ncols=len(table["model"].unique()) + 1, loc="upper right", fontsize=9
    )
    return figure


def level_title(table: pd.DataFrame) -> str:
    """Accuracy on the easiest and on the hardest level, of the last model."""
    part = table[table["model"] == table["model"].iloc[-1]].sort_values("level")
    first, last = part.iloc[0], part.iloc[-1]
    return f"{last['model'].capitalize()}: {first['score']:.0%} at level {first['level']}, {last['score']:.0%} at level {last['level']}"


def reliability(found: Mapping[str, tuple[float, pd.DataFrame]]) -> Any:
    """Accuracy against confidence, one panel a model: the diagonal is a model that knows what it knows."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(found), figsize=(3.6 * len(found), 3.6), sharey=True, squeeze=False
    )
    for n, (axes, (model, (error, table))) in enumerate(zip(panels[0], found.items(), strict=True)):
        color = BLUE if n else GREY
        axes.plot([0, 1], [0, 1], color=RED, ls="--", lw=1)
        spread = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
        axes.errorbar(
            table["confidence"],
            table["accuracy"],
            yerr=spread,
            fmt="none",
            ecolor=color,
            alpha=0.6,
            capsize=2,
        )
        axes.scatter(
            table["confidence"],
            table["accuracy"],
            s=20 + 3 * table["n"],
            color=color,
            alpha=0.85,
            zorder=3,
        )
        axes.set(xlabel="confidence", xlim=(0, 1.02), ylim=(-0.02, 1.02))
        axes.set_title(f"{model}: calibration error {error:.2f}", fontsize=10, fontweight="normal")
    panels[0][0].set_ylabel("accuracy, 95 % interval")
    figure.suptitle(sure_title(found), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def sure_title(found: Mapping[str, tuple[float, pd.DataFrame]]) -> str:
    """How sure each model is on average, and how often right."""
    told = []
    for model, (_, table) in found.items():
        share = table["n"] / table["n"].sum()
        told.append(
            f"{model} is {(share * table['confidence']).sum():.0%} sure and {(share * table['accuracy']).sum():.0%} right"
        )
    return "; ".join(told)


def place_bars(places: pd.DataFrame, rows: pd.DataFrame) -> Any:
    """How often each place was chosen when every option stood in every place: level bars are a model that reads the options."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 3.0))
    width = 0.8 / places.shape[1]
    for n, model in enumerate(places):
        at = [place + width * (n - (places.shape[1] - 1) / 2) for place in range(len(places))]
        axes.bar(
            at,
            places[model],
            width=width * 0.92,
            color=COLORS[n % len(COLORS)],
            alpha=0.85,
            label=model,
        )
    axes.axhline(1 / len(places), color=RED, ls="--", lw=1.4, label="if order did not matter")
    axes.set_xticks(range(len(places)), places.index)
    same = ", ".join(f"{row['same']:.0%} ({model})" for model, row in rows.iterrows())
    axes.set(
        title=f"Questions whose choice survives every order: {same}",
        xlabel="place of the chosen option",
        ylabel="share of choices",
    )
    axes.set_ylim(0, min(1.3, max(0.55, places.max().max() * 1.25)))
    axes.set_yticks([tick / 5 for tick in range(6) if tick / 5 <= axes.get_ylim()[1]])
    axes.legend(frameon=False, ncols=places.shape[1] + 1, loc="upper right", fontsize=9)
    return figure
