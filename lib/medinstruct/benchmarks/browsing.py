"""Looking at single questions: what each model chose and how sure it was; model-written text is escaped."""

import html
from collections.abc import Sequence
from typing import Any

from medinstruct.benchmarks.loading import Benchmark
from medinstruct.benchmarks.running import Result, Sample

BAR = "display:inline-block;height:.7em;background:#0072B2;opacity:.75;vertical-align:middle"


def page(benchmark: Benchmark, results: Sequence[Result], number: int) -> str:
    """One question as HTML: its options, the right one marked, and for each model its probabilities or its reply."""
    one = benchmark.questions[number]
    told = [
        (result.model, result.samples[number])
        for result in results
        if result.task == benchmark.task
    ]
    about = " · ".join(
        filter(
            None,
            [
                benchmark.title,
                one["subject"],
                f"level {one['level']}" if one["level"] else "",
                one["id"],
            ],
        )
    )
    parts = [f'<div style="opacity:.7">{html.escape(about)}</div>']
    parts += [
        f"<p>{html.escape(text)}</p>"
        for text in (_short(one["context"], 600), one["question"])
        if text
    ]
    if one["options"]:
        parts.append(_options(one, told))
    parts += [_reply(model, sample) for model, sample in told if sample.reply]
    return f'<div style="max-width:52rem;line-height:1.5">{"".join(parts)}</div>'


def _options(one: dict[str, Any], told: Sequence[tuple[str, Sample]]) -> str:
    """A table: one line an option, one column a model."""
    cell = 'style="text-align:left;padding:.2rem .6rem;vertical-align:top"'
    heads = "".join(
        f"<th {cell}>{html.escape(text)}</th>"
        for text in ("", "option", *(model for model, _ in told))
    )
    lines = []
    for n, (letter, option) in enumerate(zip(one["letters"], one["options"], strict=True)):
        mark = "✓" if n == one["answer"] else ""
        shown = "".join(f"<td {cell}>{_share(sample, n)}</td>" for _, sample in told)
        weight = "font-weight:600" if mark else ""
        lines.append(
            f'<tr style="{weight}"><td {cell}>{mark}</td><td {cell}>({letter}) {html.escape(option)}</td>{shown}</tr>'
        )
    return f"<table><tr>{heads}</tr>{''.join(lines)}</table>"


def _share(sample: Sample, n: int) -> str:
    chosen = "← chosen" if sample.choice == n else ""
    if not sample.probabilities:
        return chosen
    share = sample.probabilities[n]
    return f'<span style="{BAR};width:{share * 5:.2f}em"></span> {share:.2f} {chosen}'


def _reply(model: str, sample: Sample) -> str:
    read = f"score {sample.score:.2f}" + (
        ", no option could be read" if sample.choice is None and sample.answer >= 0 else ""
    )
    return f"<p><b>{html.escape(model)}</b> ({read}): {html.escape(_short(sample.reply, 500))}</p>"


def _short(text: str, size: int) -> str:
    return text if len(text) <= size else text[:size].rstrip() + " …"


def telling(benchmark: Benchmark, results: Sequence[Result]) -> int:
    """The number of the question that tells most: where the models differ in score, else the first."""
    mine = [result for result in results if result.task == benchmark.task]
    differ = [
        n
        for n in range(len(benchmark.questions))
        if len({result.samples[n].score for result in mine}) > 1
    ]
    return differ[0] if differ else 0


def browse(benchmarks: Sequence[Benchmark], results: Sequence[Result]) -> Any:
    """A widget to leaf through the questions of every benchmark that was run; `page` is what stays without one."""
    import ipywidgets as widgets

    run = {one.task: one for one in benchmarks if one.questions}
    task = widgets.Dropdown(options=list(run), description="benchmark")
    show = widgets.Dropdown(options=["all", "models differ", "all wrong"], description="show")
    number = widgets.BoundedIntText(min=1, max=1, description="question")
    view = widgets.HTML()
    state: dict[str, list[int]] = {"kept": [0]}

    def choose(_: Any = None) -> None:
        state["kept"] = kept(run[task.value], results, show.value) or [0]
        number.max = len(state["kept"])
        number.value = 1
        draw()

    def draw(_: Any = None) -> None:
        view.value = page(run[task.value], results, state["kept"][number.value - 1])

    task.observe(choose, "value")
    show.observe(choose, "value")
    number.observe(draw, "value")
    choose()
    return widgets.VBox([widgets.HBox([task, show, number]), view])


def kept(benchmark: Benchmark, results: Sequence[Result], show: str) -> list[int]:
    """The numbers of the questions to show: all, those on which models differ, or those that all got wrong."""
    mine = [result for result in results if result.task == benchmark.task]
    rows = [[result.samples[n].score for result in mine] for n in range(len(benchmark.questions))]
    rule = {
        "all": lambda row: True,
        "models differ": lambda row: len(set(row)) > 1,
        "all wrong": lambda row: max(row) < 0.5,
    }[show]
    return [n for n, row in enumerate(rows) if rule(row)]
