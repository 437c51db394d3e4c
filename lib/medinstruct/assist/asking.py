"""The cases as questions to base and tuned model, in the template that they were trained with, all at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from medinstruct.assist.cases import Case
from medinstruct.assist.checking import Checked, checked
from medinstruct.assist.ways import WAYS
from medinstruct.evaluation.answers import ALPACA_STOPS
from medinstruct.llm import Client, LocalModel, Reply, Request
from medinstruct.records import Consultation, Provenance

TINY = 20_000_000  # parameters
Models = Mapping[str, Client | LocalModel]


async def consult(
    cases: Iterable[Case],
    who: Models,
    *,
    template: str = "alpaca",
    max_tokens: int = 400,
    samples: int = 0,
    temperature: float = 0.7,
    dataset: str = "",
) -> list[Consultation]:
    """What each model says to each case and reader: a greedy answer, and `samples` further ones that show how sure it is.

    `who` is name -> model as `evaluation.answerers` gives it; the adapter is turned on for the model named tuned.
    """
    asked = [(case, reader) for case in cases for reader in case.readers]
    settings = {"max_tokens": max_tokens} | (
        {"stop": list(ALPACA_STOPS)} if template == "alpaca" else {}
    )
    worded = [
        WAYS[case.way].prompt(case.question, case.given, reader=reader, template=template)
        for case, reader in asked
    ]
    first = [Request(messages=one, parameters=settings | {"temperature": 0.0}) for one in worded]
    warm = settings | {"temperature": temperature}
    more = [
        Request(messages=one, parameters=warm, sample=n)
        for n in range(1, samples + 1)
        for one in worded
    ]
    found = []
    for name, model in who.items():
        with one_thread(model):
            replies = await turned(model, name).ask_all([*first, *more], label=f"answers of {name}")
        for n, (case, reader) in enumerate(asked):
            others = [reply.text for reply in replies[n + len(asked) :: len(asked)]]
            found.append(_consultation(case, reader, name, replies[n], others, dataset))
    return found


def turned(model: Client | LocalModel, name: str) -> Client | LocalModel:
    """The one loaded model with its adapter on for tuned; a server needs no turning."""
    return (
        (model.tuned if name == "tuned" else model.base)
        if isinstance(model, LocalModel) and model.has_adapter
        else model
    )


@contextmanager
def one_thread(model: Client | LocalModel) -> Iterator[None]:
    """One thread of torch while a tiny model answers on the CPU: more of them wait for each other longer than they work."""
    if (
        not isinstance(model, LocalModel)
        or model.device != "cpu"
        or model.model.num_parameters() > TINY
    ):
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def looked_at(one: Consultation) -> Checked:
    """A consultation with all that the rules say of it."""
    is_cut = one.finish_reason == "length"
    quiz = one.way == "learning"  # its vignettes are of nobody
    found = checked(one.question, one.text, cut=is_cut, samples=one.samples, given=one.given)
    return found.without_alarm() if quiz else found


def _consultation(
    case: Case, reader: str, name: str, reply: Reply, samples: Sequence[str], dataset: str
) -> Consultation:
    return Consultation(
        way=case.way,
        case=case.name,
        question=case.question,
        given=case.given,
        reader=reader,
        model=name,
        text=reply.text,
        finish_reason=reply.finish_reason,
        samples=tuple(samples),
        dataset=dataset,
        provenance=Provenance(source="consultation", model=reply.model, request=reply.key),
    )
