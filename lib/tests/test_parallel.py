"""Two processes give the results of one, each text is read once, and what was read is kept."""

from medinstruct import parallel

TEXTS = [f"text {n % 7}" for n in range(20)]


def test_two_processes_give_the_results_of_one(monkeypatch):
    alone = parallel.by_text(lambda part: [text.upper() for text in part], TEXTS)
    monkeypatch.setattr(parallel, "MANY", 3)
    monkeypatch.setattr(parallel, "PORTION", 2)
    assert parallel.remembered(str.title, TEXTS) == [text.title() for text in TEXTS]
    assert alone == {text: text.upper() for text in TEXTS} and list(alone) == TEXTS[:7]


def test_a_text_is_read_once_also_by_a_later_call():
    read = []

    def length(text):
        read.append(text)
        return len(text)

    assert parallel.remembered(length, TEXTS[:5]) == [6] * 5
    assert parallel.remembered(length, [*TEXTS, "more"]) == [6] * 20 + [4]
    assert sorted(read) == sorted({*TEXTS, "more"}) and parallel.remembered(length, []) == []
