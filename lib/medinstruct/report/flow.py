"""The pipeline as a picture: how many there were at each stage, and what was lost between, as SVG of our own."""

import html
from dataclasses import dataclass

from medinstruct import plotting
from medinstruct.report.gather import Run

HEIGHT, TOP, STEP, BAR = 150, 78, 134, 34
FONT = "font-family=\"system-ui, 'DejaVu Sans', Verdana, sans-serif\""
WORDS = {"ROUGE-L": "near-duplicates", "length": "cut at their room"}  # of the ledger's reasons


@dataclass(frozen=True)
class Stage:
    """One stage: its count (None where its notebook has not run), what is drawn pale beside it, and the losses after it."""

    name: str
    count: int | None
    below: str = ""
    pale: int = 0
    lost: tuple[tuple[str, int], ...] = ()
    joins: str = "flow"


def stages(run: Run, losses: list[dict[str, int]]) -> list[Stage]:
    """The stages from seeds to training; `losses` holds the reasons of the ledger, one dict a step."""
    reasons = [
        tuple(
            sorted(
                ((WORDS.get(name, name), count) for name, count in one.items() if count > 0),
                key=lambda p: -p[1],
            )
        )
        for one in losses
    ]
    after = dict(zip(("asked", "raw_tasks", "tasks"), reasons, strict=False))
    asked, lora = run.of("generation", "asked"), run.of("training", "lora", default={})
    counts, made = run.counts, run.counts.get("dataset")
    read = run.of("quality", "review", "reviewed")
    return [
        Stage("seeds", counts.get("seeds"), "example tasks", joins="none"),
        Stage(
            "requested",
            asked,
            f"{run.of('generation', 'requests', default='no')} requests",
            lost=after.get("asked", ()),
            joins="idea",
        ),
        Stage(
            "parsed",
            counts.get("raw_tasks") if asked is not None else None,
            "well-formed",
            lost=after.get("raw_tasks", ()),
        ),
        Stage("kept", counts.get("tasks"), "new and clean", lost=after.get("tasks", ())),
        Stage("answered", made, "examples"),
        Stage(
            "reviewed",
            read,
            f"of {made:,} by people" if made and read is not None else "by people",
            pale=(made or 0) - (read or 0),
        ),
        Stage(
            "trained",
            lora.get("examples"),
            f"{lora['held_out']:,} held out" if lora else "",
            pale=lora.get("held_out", 0),
        ),
    ]


def told(found: list[Stage]) -> str:
    """The picture in words."""
    parts = [f"{one.name} {'not yet' if one.count is None else f'{one.count:,}'}" for one in found]
    lost = [f"{count:,} {name}" for one in found for name, count in one.lost]
    return f"Stages of the pipeline: {', '.join(parts)}." + (
        f" Lost: {', '.join(lost)}." if lost else ""
    )


def wide(found: list[Stage]) -> str:
    """The picture from left to right."""
    scale = HEIGHT / max([(one.count or 0) + one.pale for one in found] + [1])
    tall = [scale * ((one.count or 0) + one.pale) for one in found]
    parts = [_joined(n, found, tall) for n in range(1, len(found))]
    parts += [_column(n, one, tall[n], scale * one.pale) for n, one in enumerate(found)]
    return _svg(STEP * len(found), TOP + HEIGHT + 62, "".join(parts), told(found))


def narrow(found: list[Stage]) -> str:
    """The same from top to bottom, for a phone."""
    most = max([(one.count or 0) + one.pale for one in found] + [1])
    parts = []
    for n, one in enumerate(found):
        y, width = 8 + 56 * n, 348 * (one.count or 0) / most
        count = "–" if one.count is None else f"{one.count:,}"
        lost = sum(number for _, number in one.lost)
        parts.append(
            _text(0, y + 16, count, size=17, bold=True, anchor="start")
            + _text(62, y + 16, f"{one.name}, {one.below}".strip(", "), size=14, anchor="start")
        )
        parts.append(
            _rect(0, y + 24, max(width, 1), 14, "blue")
            + _rect(width, y + 24, 348 * one.pale / most, 14, "pale")
        )
        parts.append(
            _text(348, y + 16, f"−{lost:,}", size=14, kind="lost", anchor="end") if lost else ""
        )
    return _svg(350, 56 * len(found) + 4, "".join(parts), told(found))


def _column(n: int, one: Stage, tall: float, pale: float) -> str:
    middle, left, solid = n * STEP + STEP / 2, n * STEP + (STEP - BAR) / 2, tall - pale
    bars = _rect(left, TOP, BAR, max(solid, 2 if one.count else 0), "blue") + (
        _rect(left, TOP + solid, BAR, pale, "pale") if pale else ""
    )
    if one.count is None:
        bars = _rect(left, TOP, BAR, HEIGHT / 2, "empty")
    count = "–" if one.count is None else f"{one.count:,}"
    named = _text(middle, 18, one.name, size=15) + _text(middle, 46, count, size=25, bold=True)
    return bars + named + _text(middle, 66, one.below, size=12.5, kind="soft")


def _joined(n: int, found: list[Stage], tall: list[float]) -> str:
    """The band from the stage before, or dots where it only gives ideas; what is lost bends down."""
    before, now, (came, kept) = found[n - 1], found[n], tall[n - 1 : n + 1]
    x0, x1 = n * STEP - (STEP - BAR) / 2, n * STEP + (STEP - BAR) / 2
    if before.count is None or now.count is None:
        return ""
    if now.joins == "idea":
        y = TOP + min(came, kept) / 2
        arrow = f"M{x0 + 8:.1f} {y:.1f}H{x1 - 9:.1f}M{x1 - 18:.1f} {y - 6:.1f}l9 6l-9 6"
        return f'<path d="{arrow}" class="idea" fill="none" stroke="{plotting.GREY}" stroke-width="2"/>'
    band = f'<path d="M{x0:.1f} {TOP}H{x1:.1f}v{min(came, kept):.1f}H{x0:.1f}Z" class="band" fill="{plotting.SKY}" fill-opacity=".3"/>'
    return (
        band
        + (_bend(n * STEP, x0, TOP + kept, came - kept) if came > kept else "")
        + _reasons(n * STEP, before.lost)
    )


def _bend(middle: float, x0: float, y: float, thick: float) -> str:
    """What is lost between two stages: a band that turns from the left bar to the ground."""
    thick, ground = max(thick, 1.5), TOP + HEIGHT + 8
    inner, outer = middle - min(thick, 44) / 2, middle + min(thick, 44) / 2
    path = (
        f"M{x0:.1f} {y:.1f}C{outer:.1f} {y:.1f} {outer:.1f} {y:.1f} {outer:.1f} {max(ground, y + thick):.1f}"
        f"H{inner:.1f}C{inner:.1f} {y + thick:.1f} {inner:.1f} {y + thick:.1f} {x0:.1f} {y + thick:.1f}Z"
    )
    return f'<path d="{path}" class="gone" fill="{plotting.RED}" fill-opacity=".6"/>'


def _reasons(middle: float, lost: tuple[tuple[str, int], ...]) -> str:
    """The two commonest reasons in words, and how many others there are."""
    lines = [f"−{count:,} {name}" for name, count in lost[:2]]
    lines += [f"−{sum(count for _, count in lost[2:]):,} for other reasons"] if lost[2:] else []
    return "".join(
        _text(middle, TOP + HEIGHT + 24 + 16 * n, line, size=12.5, kind="lost")
        for n, line in enumerate(lines)
    )


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    color = {"blue": plotting.BLUE, "pale": plotting.SKY, "empty": "none"}[kind]
    more = {
        "pale": f' fill-opacity=".25" stroke="{plotting.BLUE}" stroke-dasharray="3 3"',
        "empty": f' stroke="{plotting.GREY}" stroke-dasharray="4 4"',
    }.get(kind, "")
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}" fill="{color}"{more}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    bold: bool = False,
    kind: str = "ink",
    anchor: str = "middle",
) -> str:
    color = {"ink": plotting.INK, "soft": plotting.SOFT, "lost": plotting.RED}[kind]
    weight = ' font-weight="700"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" class="{kind}" fill="{color}"{weight}>{html.escape(text)}</text>'


def _svg(width: float, height: float, inside: str, alt: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(alt)}" {FONT}>'
    return f"{head}{inside}</svg>"
