"""Parity: the same greedy answers from a run's adapter, its export, and servers of the export.

python lib/benchmarks/parity.py RUN [--folder FOLDER] [--servers NAME=MODEL@URL …] [--prompts 20]
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from medinstruct import evaluation, llm, paths, records, training
from medinstruct.errors import UserError
from medinstruct.llm import LocalModel, Reply, Request

ADAPTER, MERGED, END = "transformers, adapter", "transformers, merged", "(end)"
ROUNDING = 0.5  # nats: bfloat16 moves the log-probability of a token by less (0.2 for SmolLM2)


def lines(run: str, *, folder="", servers: Iterable[str] = (), prompts=20) -> Iterator[str]:
    """Compare, write parity.json beside the export, yield the table; raise if it shows a fault."""
    out = paths.outputs(run)
    places = [out / "export" / name for name in reversed(training.adapters(out))]
    place = Path(folder or next(filter(Path.exists, places), places[0]))
    pairs = [entry.partition("=") for entry in servers]
    if wrong := [name for name, _, model in pairs if not model]:
        do = "Write name=model@url."
        raise UserError("A server has no address.", got=", ".join(wrong), do=do)
    named = {name: model for name, _, model in pairs}
    table = parity(place, run=run, servers=named, prompts=prompts)
    records.write_json(place / "parity.json", table.reset_index().to_dict("records"))
    yield table.to_string(na_rep="")
    apart = table.index[table[["gap", "shift"]].max(axis=1) > ROUNDING]
    if len(apart):
        do = "Compare its prompt with chat_template.jinja, then its weights with merged/."
        raise UserError("Answers differ by more than rounding.", got=", ".join(apart), do=do)
    least, asked = table["equal"].min(), table["prompts"].min()
    yield f"Nothing but rounding differs: at least {least} of {asked} answers are equal everywhere."


def parity(
    folder: str | Path, *, run: str, servers: Mapping[str, str], prompts=20, tokens=32
) -> pd.DataFrame:
    """Return one row a route: how many greedy answers equal those of the run's own model.

    The routes are the run's base model with its adapter, the merged folder of the export, and
    `servers`, {name: model@url}. token, expected, got: the first token that differs in an answer,
    of all answers where the gap is largest: the lead of the reference's best token there, in nats;
    shift: the largest difference of the log-probability of a token of the reference's answers, for
    models in this process. Above `ROUNDING`, either is a fault and no tie.
    """
    folder, out = Path(folder), paths.outputs(run)
    trained, made = (paths.read_json(p) for p in (out / "training.json", folder / "export.json"))
    adapter = training.adapters(out).get(made.get("model"), "")
    if not adapter or made["adapter"] != llm.fingerprint(adapter):
        do = f"Run `python -m medinstruct export {run}`, with the same --to if you gave one."
        raise UserError("The folder holds no export of this run's model.", got=folder, do=do)
    is_chat, base = trained["template"] == "chat", llm.model_folder(trained["base_model"])
    items = [item for item in evaluation.load_items("own") if is_chat or not item.input]
    plain = [training.message(i.instruction, i.input) for i in evaluation.evenly(items, prompts)]
    texts = {ADAPTER: plain if is_chat else [training.prompt(text) for text in plain]}
    places = {ADAPTER: lambda: LocalModel(base, adapter=adapter, chat=is_chat)}
    places[MERGED] = lambda: LocalModel(folder / "merged", chat=True)
    places |= {
        n: lambda place=place: nullcontext(llm.connect(place)) for n, place in servers.items()
    }
    answers, marks = {}, {}
    for route, connected in places.items():
        asks = [_request(text, tokens) for text in texts.get(route, plain)]
        with connected() as model:
            answers[route] = asyncio.run(model.ask_all(asks, label=route))
            if isinstance(model, LocalModel):
                prompts_of = [model._prompt(ask) for ask in asks]
                texts_of = [reply.text for reply in answers[ADAPTER]]
                marks[route] = _log_probabilities(model, prompts_of, texts_of)
    return _table(answers, marks, training.load_tokenizer(base))


def _request(text: str, tokens: int) -> Request:
    parameters = {"max_tokens": tokens, "temperature": 0.0}
    return Request(messages=[{"role": "user", "content": text}], parameters=parameters)


def _log_probabilities(model: Any, prompts: list[str], answers: list[str]) -> list[tuple]:
    """Return for each answer the log-probabilities of all tokens at its places, and of its own."""
    import torch

    rows = []
    with model.network() as network, torch.inference_mode():
        for prompt, answer in zip(prompts, answers, strict=True):
            asked, whole = (
                model.tokenizer(text, add_special_tokens=not model.chat, return_tensors="pt")
                for text in (prompt, prompt + answer)
            )
            begin, ids = asked["input_ids"].shape[1], whole["input_ids"][0]
            logits = network(**whole.to(model.device)).logits[0, begin - 1 :]
            every = logits.float().log_softmax(dim=-1).cpu()
            rows.append((every, every[:-1].gather(1, ids[begin:, None])))
    return rows


def _table(answers: dict[str, list[Reply]], marks: dict[str, list], tokenizer: Any) -> pd.DataFrame:
    """Return the comparison of all routes with the first, whose answers may be cut at the room."""
    rows = []
    for route, replies in answers.items():
        row = {"route": route, "prompts": len(replies), "equal": len(replies)}
        for n, (one, other) in enumerate(zip(answers[ADAPTER], replies, strict=True)):
            first, second = ([*tokenizer.tokenize(r.text), END] for r in (one, other))
            if one.finish_reason == "length":  # servers count the room in their own way
                first, second = first[:-1], second[: len(first) - 1]
            places = [k for k, (x, y) in enumerate(zip(first, second, strict=False)) if x != y]
            row["equal"] -= bool(places)
            if places:
                k, every = places[0], marks[ADAPTER][n][0]
                best = every[min(k, len(every) - 1)].topk(2).values
                if (gap := float(best[0] - best[1])) > row.get("gap", -1.0):
                    row |= {"prompt": n, "token": k, "expected": first[k], "got": second[k]}
                    row["gap"] = gap
        if route in marks:
            pairs = zip(marks[ADAPTER], marks[route], strict=True)
            gaps = [gap for (_, x), (_, y) in pairs for gap in (x - y).abs().flatten().tolist()]
            row["shift"] = max(gaps, default=0.0)
        rows.append(row)
    columns = ["route", "prompts", "equal", "prompt", "token", "expected", "got", "gap", "shift"]
    return pd.DataFrame(rows, columns=columns).set_index("route")


def main() -> None:
    """Compare what the command line names; a fault is one message and status 1."""
    parser = argparse.ArgumentParser(description="Compare an export with its run.")
    parser.add_argument("run", help="a run's name, such as demo")
    parser.add_argument("--folder", default="", help="default: outputs/<run>/export/<model>")
    parser.add_argument("--servers", nargs="*", default=[], metavar="name=model@url")
    parser.add_argument("--prompts", type=int, default=20, help="how many")
    try:
        for line in lines(**vars(parser.parse_args())):
            print(line)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
