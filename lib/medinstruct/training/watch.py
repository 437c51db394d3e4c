"""What is seen while training runs: a bar, a loss curve that grows in the notebook, and the held-out loss after each epoch."""

import html
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from medinstruct.training.data import kind
from medinstruct.training.templates import Row


def watcher(*, tokens: float, live: bool) -> Any:
    """A callback for the trainer; `tokens` is what the whole run reads, `.evaluate` gives the held-out losses by task type.

    After the run: `.losses` and `.held_out` by step, `.seconds` of training without the evaluations, `.rate` in tokens a second.
    """
    from tqdm import tqdm
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        evaluate: Callable[[], dict[str, float]] = dict
        losses: list[dict[str, float]] = []
        held_out: list[dict[str, Any]] = []
        seconds = 0.0
        rate = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.pause = 0.0
            self.losses, self.held_out = (
                losses(state),
                [row for row in state.log_history if "held_out" in row],
            )
            if state.global_step and round(state.epoch or 0, 6).is_integer():
                self.on_epoch_end(
                    args, state, control
                )  # the checkpoint was written just before the epoch was evaluated
            shown = live and state.is_world_process_zero
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="training",
                unit="step",
                leave=False,
                disable=not shown,
            )
            self.screen = _screen() if shown else None
            self.done, self.start, self.pause = state.global_step, time.perf_counter(), 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.bar.update()
            self.seconds = time.perf_counter() - self.start - self.pause
            self.rate = (
                tokens * (state.global_step - self.done) / state.max_steps / max(self.seconds, 1e-9)
            )
            self.bar.set_postfix(
                {"tokens/s": f"{self.rate:,.0f}", "GB": f"{peak_memory():.1f}"}, refresh=False
            )

        def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.losses = losses(state)
            if self.screen and len(self.losses) > 1:
                self.screen.update(
                    _html(
                        curve_svg(
                            self.losses, title=f"Step {state.global_step} of {state.max_steps}"
                        )
                    )
                )

        def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            began = time.perf_counter()
            found = (
                {}
                if any(row["step"] == state.global_step for row in self.held_out)
                else self.evaluate()
            )
            if found:
                self.held_out.append({"step": state.global_step, "held_out": found})
                state.log_history.append(
                    self.held_out[-1]
                )  # goes into the checkpoints, so that a resumed run has it
            self.pause += time.perf_counter() - began

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.losses = losses(state)
            self.bar.close()
            if self.screen and self.losses:
                first, last = self.losses[0]["loss"], self.losses[-1]["loss"]
                self.screen.update(
                    _html(f"Trained: {state.max_steps} steps, loss {first:.2f} to {last:.2f}.")
                )

    return Watch()


def losses(state: Any) -> list[dict[str, float]]:
    """The training losses by step, in nats a token."""
    return [
        {"step": row["step"], "loss": round(row["loss"], 4)}
        for row in state.log_history
        if "loss" in row
    ]


def held_out_losses(
    model: Any, rows: Sequence[Row], *, pad: int, batch_size: int = 8
) -> dict[str, float]:
    """Nats a trained token on held-out rows, exact over tokens: "all" and each task type."""
    import torch

    from medinstruct.training.trainer import summed_loss

    sums: dict[str, list[float]] = {}
    was_training = model.training
    model.eval()
    by_type: dict[str, list[Row]] = {}
    for row in rows:
        by_type.setdefault(kind(row), []).append(row)
    for name, members in sorted(by_type.items()):
        members.sort(key=lambda row: -len(row.ids))
        for start in range(0, len(members), batch_size):
            part = members[start : start + batch_size]
            with torch.inference_mode():
                total = summed_loss(model, padded(part, pad=pad, device=model.device)).item()
            for key in ("all", name):
                found = sums.setdefault(key, [0.0, 0.0])
                found[0] += total
                found[1] += sum(len(row.ids) - row.start for row in part)
    model.train(was_training)
    return {name: round(total / count, 4) for name, (total, count) in sums.items()}


def padded(rows: Sequence[Row], *, pad: int, device: Any) -> dict[str, Any]:
    """Rows as one batch, padded on the right; padding is neither attended to nor trained."""
    import torch

    longest = max(len(row.ids) for row in rows)
    gaps = [longest - len(row.ids) for row in rows]
    return {
        "input_ids": torch.tensor(
            [row.ids + [pad] * gap for row, gap in zip(rows, gaps, strict=True)], device=device
        ),
        "attention_mask": torch.tensor(
            [[1] * (longest - gap) + [0] * gap for gap in gaps], device=device
        ),
        "labels": torch.tensor(
            [row.labels + [-100] * gap for row, gap in zip(rows, gaps, strict=True)], device=device
        ),
    }


def peak_memory() -> float:
    """GB that were in use at most: of the GPU where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1024**3
    unit = 1024 if sys.platform != "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3


def curve_svg(
    points: Sequence[dict[str, float]], *, title: str, width: int = 640, height: int = 150
) -> str:
    """A loss curve as a small SVG, quick enough to be drawn anew at every log line."""
    steps, values = [row["step"] for row in points], [row["loss"] for row in points]
    low, high = min(values), max(max(values), min(values) + 1e-6)
    places = [
        f"{60 + (width - 80) * (s - steps[0]) / max(steps[-1] - steps[0], 1):.1f},{20 + (height - 50) * (high - v) / (high - low):.1f}"
        for s, v in zip(steps, values, strict=True)
    ]
    texts = [
        (5, 24, f"{high:.2f}"),
        (5, height - 27, f"{low:.2f}"),
        (60, height - 6, f"{title}, loss {values[-1]:.3f}"),
    ]
    drawn = "".join(
        f'<text x="{x}" y="{y}" font-size="12" fill="currentColor">{html.escape(t)}</text>'
        for x, y, t in texts
    )
    line = f'<polyline points="{" ".join(places)}" fill="none" stroke="#0072B2" stroke-width="2"/>'
    return f'<svg width="{width}" height="{height}" role="img" aria-label="{html.escape(title)}">{drawn}{line}</svg>'


def _screen() -> Any:
    """A place in the notebook that can be drawn anew; None outside a notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    return (
        display(_html("Training starts."), display_id=True) if get_ipython() is not None else None
    )


def _html(text: str) -> Any:
    from IPython.display import HTML

    return HTML(text)
