"""The report: a page that a browser finds accessible, that needs nothing else, and whose numbers are those of the run's files."""

import base64
import json
import re
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from test_jupyterlab import browser  # noqa: F401 (a fixture)

from medinstruct import audits, paths, plotting, records, report
from medinstruct.errors import UserError
from medinstruct.llm.local import fingerprint

DEMO = paths.root() / "outputs" / "demo"
WIDTHS = (380, 800, 1280)
UNREAD = shutil.ignore_patterns(
    "*.ipynb", "figures", "pages", "report.html", "*verdicts.jsonl", "grades.jsonl"
)
MEASURED = ("freeform", "safety", "benchmarks")
PREFERENCES = {"pairs": [{"source": "safety", "n": 40}], "left_out": {"repeats a test question": 2}}
PREFERENCES |= {"balance": "match", "longer_before": 0.7, "longer_after": 0.5, "held_out": 20}
PREFERENCES |= {"judge": "offline", "judge_passed": False, "refused": "Its verdicts are refused."}
PREFERENCES |= {"accuracy_before": 0.5, "accuracy_after": 0.8, "reward_accuracy": 0.9}
PREFERENCES |= {"margin_before": 0, "margin_after": 0.8, "words_before": 40, "words_after": 44}
PREFERENCES |= {"words_prompts": 12, "words_change": {"change": 4, "low": -1, "high": 9}}


def tuned_rows(rows, *, by="model", **more):
    """The rows without those of `aligned`, and copies of tuned's as its."""
    rest = [row for row in rows if row[by] != "aligned"]
    return rest + [row | {by: "aligned"} | more for row in rest if row[by] == "tuned"]


def invent(folder, *, change=0.0, **freeform):
    """Invent an aligned model, with a change of safe answers, and what judged it."""
    content = {name: json.loads((folder / f"{name}.json").read_text()) for name in MEASURED}
    judged = content["freeform"]
    judged["answers"] = tuned_rows(judged["answers"], by="answers of", median=60.0)
    judged |= {name: tuned_rows(judged[name], score=0.5) for name in ("rates", "rubric")} | freeform
    gain = {"difference": -0.1, "low": -0.15, "high": -0.05, "n": 40, "reference": "written"}
    judged["compare"] = [gain | {"model": m, "other": "aligned"} for m in ("base", "tuned")]
    safety, ends = content["safety"], {"low": change - 0.1, "high": change + 0.1}
    safety["rule"] = tuned_rows(safety["rule"], score=0.25)
    pairs = [("tuned", "base"), ("aligned", "base"), ("aligned", "tuned")]
    about = [{"model": m, "minus": b, "n": 24, "p": 1.0} | ends for m, b in pairs]
    safety["change"] = [row | {"category": "all", "change": change} for row in about]
    none = {"low": None, "high": None, "n": 6, "hits": 3, "score": 0.5}
    safety["over_refusal"] = [none | {"model": m} for m in ("responder", "tuned", "aligned")]
    tests = content["benchmarks"]
    tests["scores"] = tuned_rows([row for row in tests["scores"] if row["group"] == "medical"])
    about = [row | {"task": "own_ll", "change": 0.0, "low": -0.1, "high": 0.1} for row in about]
    tests |= {"paired": about, "forgetting": [], "general": []}
    content["preferences"] = PREFERENCES | {"start": fingerprint(folder / "adapter")}
    for name, value in content.items():
        records.write_json(folder / f"{name}.json", value)


@pytest.fixture
def folder(tmp_path):
    """A copy of the executed demo under another name, so that it counts as a run of one's own."""
    shutil.copytree(DEMO, tmp_path / "mine", ignore=UNREAD)
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A copy of the demo with all parts drawn and its page written once; tests only read it."""
    folder = tmp_path_factory.mktemp("report") / "mine"
    shutil.copytree(DEMO, folder)
    invent(folder, change=0.2, judge_passed=False)
    (folder / "pages").mkdir(exist_ok=True)
    (folder / "pages" / "03_filter_tasks.html").write_text("<p>3</p>")
    (folder / "pages" / "15_report.html").write_text("<p>15</p>")
    (folder / "report.json").write_text("{}")
    run = report.read_run(folder)
    parts = report.draw_parts(run)
    text = report.write_page(run, parts).read_text(encoding="utf-8")
    content = report.as_json(run, parts)
    return SimpleNamespace(folder=folder, parts=parts, text=text, content=content)


@pytest.fixture
def quick(monkeypatch):
    """Parts without their pictures: texts are those of the figures, the picture is one pixel."""
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
    )

    def show(figure, name, *, folder, alt, data):
        return SimpleNamespace(data={"text/plain": alt, "image/png": pixel})

    monkeypatch.setattr(plotting, "show", show)


def against(content):
    """The row of the tuned model's score against the written answers."""
    is_tuned = [row for row in content["rates"] if row["model"] == "tuned"]
    return next(row for row in is_tuned if row["reference"] == "written")


def written(folder, *, reproducible=False, parts=None, **more):
    run = report.read_run(folder, reproducible=reproducible)
    parts = parts or report.draw_parts(run)
    page = report.write_page(run, parts, **more).read_text(encoding="utf-8")
    return page, report.as_json(run, parts)


def violations(page, *, contrast=True):
    """The rules of axe that the page breaks; contrast is the slow one."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    ).Axe()
    # axe does not judge contrast over gradients, the shadows that hint at scrolling
    page.add_style_tag(content=".out, .prose table, .wide { background: none !important; }")
    rules = {"color-contrast": {"enabled": contrast}}
    response = axe.run(page, options={"resultTypes": ["violations"], "rules": rules}).response
    return [(one["id"], one["nodes"][0]["html"][:160]) for one in response["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_or_fetched(browser, drawn, scheme):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    asked, lines = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: lines.append(message.text))
    page.goto(f"file://{drawn.folder}/report.html")
    assert lines == [] and len(asked) == 1
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # colors do not depend on the width, and all texts are shown once the details are open
    assert violations(page) == []
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    assert violations(page, contrast=False) == []
    page.close()


def test_a_missing_label_would_be_found(browser, drawn, tmp_path):  # noqa: F811
    text = re.sub(r' alt="[^"]*"', "", drawn.text)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto(f"file://{tmp_path}/report.html")
    assert "image-alt" in dict(violations(page))


def test_on_paper_all_numbers_stand_open_and_nothing_is_wider_than_the_page(browser, drawn):  # noqa: F811
    page = browser.new_page(
        viewport={"width": 696, "height": 1000}, color_scheme="dark"
    )  # A4 less its margins
    page.goto(f"file://{drawn.folder}/report.html")
    page.emulate_media(media="print")
    wide = "[...document.querySelectorAll('table, figure')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.evaluate(wide) == 0
    assert page.evaluate(
        "[...document.querySelectorAll('details table')].every(e => e.checkVisibility())"
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pages = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    assert 4 <= pages <= 14


def test_headings_nest_tables_have_captions_and_every_link_leads_somewhere(drawn):
    folder, text = drawn.folder, drawn.text
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert (
        levels[0] == 1
        and levels.count(1) == 1
        and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    )
    assert text.count("<table") == text.count("<caption") and "<th>" not in text
    links, ids = (
        re.findall(r'<a [^>]*href="([^"]+)"', text),
        set(re.findall(r' id="([^"]+)"', text)),
    )
    assert "pages/03_filter_tasks.html" in links and "03_filter_tasks.ipynb" in links
    assert all(link[1:] in ids if link[0] == "#" else (folder / link).exists() for link in links)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text) and "<script" not in text


def test_what_a_model_is_called_or_wrote_is_only_text(folder, quick):
    rows = [row for _, row in records.rows(folder / "raw_tasks.jsonl")]
    rows[0]["provenance"]["model"] = "<img src=x onerror=alert(1)>"
    (folder / "raw_tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(
        json.dumps(content | {"base_model": "<script>x</script>"})
    )
    (folder / "manifest.json").unlink()  # else its values say that the stand-in wrote it
    text, _ = written(folder)
    assert (
        "<img src=x" not in text
        and "<script" not in text
        and "&lt;script&gt;" in text
        and "&lt;img" in text
    )


def test_a_run_that_has_come_half_way_names_what_is_missing_and_how_to_run_it(folder, quick):
    names = ("training", "preferences", "freeform", "safety", "benchmarks", "audits", "agreement")
    for name in names:
        (folder / f"{name}.json").unlink(missing_ok=True)
    text, found = written(folder)
    assert set(found["missing"]) == {"review", *names[:5]} and found["models"] == []
    assert (
        found["missing"]["training"]
        == "python -m medinstruct run params/demo.yaml 08 --set run=mine"
        and "Not in this report yet" in text
    )
    assert f"{len(report.read_run(folder).rows['dataset']):,} training examples" in text


def test_consultations_have_a_part_once_there_are_any(folder, quick):
    (folder / "consultations.jsonl").unlink(missing_ok=True)
    assert report.draw_parts(report.read_run(folder))["assist"].todo
    answers = [
        {"name": name, "text": "<b>"} | reason
        for name in ("base", "tuned")
        for reason in ({}, {"finish_reason": "length"}, {})  # "stop" is not written
    ]
    rows = [{"way": way, "answers": answers} for way in ("quiz", "hand-over")]
    (folder / "consultations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text, found = written(folder)
    assert "8 of 12 answers are complete, in 2 use cases." in text
    share = next(
        row
        for row in found["numbers"]
        if row["name"] == "complete answers, hand-over" and row["model"] == "tuned"
    )
    assert share["value"] == pytest.approx(2 / 3) and share["n"] == 3


def test_an_empty_run_still_has_a_page(tmp_path):
    text, found = written(tmp_path)
    assert (
        found["numbers"] == []
        and len(found["missing"]) == 9
        and "Nothing has been measured yet" in text
    )


def test_the_room_of_answers_stands_beside_the_length_of_the_trained_ones():
    names = ("freeform", "training")
    numbers = {name: json.loads((DEMO / f"{name}.json").read_text()) for name in names}
    assert numbers["freeform"]["trained_tokens"] == numbers["training"]["trained_tokens"]


def test_every_number_has_its_label_and_the_published_one_beside_it():
    run = report.read_run(DEMO)
    found = {row.label: row for row in report.read_numbers(run).itertuples()}
    assert found["examples"].value == len(run.rows["dataset"]) and found["examples"].paper == 52_002
    assert found["tasks with a top verb and noun"].paper == pytest.approx(0.2245, abs=1e-4)
    real = {one.part for one in found.values() if not one.stand_in}
    assert real == {"benchmarks", "assist"}, "all other numbers of the demo depend on a stand-in"
    assert all(one.low <= one.value <= one.high for one in found.values() if one.low is not None)
    asked = json.loads((DEMO / "freeform.json").read_text())["items"]
    assert found["score against written, tuned"].n == asked


def test_report_json_gives_every_number_its_value_a_zero_too(drawn):
    rows = report.as_json(report.read_run(drawn.folder), drawn.parts)["numbers"]
    assert all("value" in row for row in rows) and any(row["value"] == 0 for row in rows)
    assert all(("low" in row) == ("high" in row) for row in rows)


def test_a_real_model_is_no_stand_in_and_stands_beside_the_published_score(folder):
    (folder / "manifest.json").unlink()
    content = json.loads((folder / "freeform.json").read_text()) | {"judge_passed": True}
    against(content)["reference"] = "gpt-4"
    (folder / "freeform.json").write_text(json.dumps(content | {"judge": "gpt-4o-mini"}))
    training = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(training | {"base_model": "Qwen/Qwen3-4B"}))
    run = report.read_run(folder)
    score = next(
        one
        for one in report.read_numbers(run).itertuples()
        if one.label == "score against gpt-4, tuned"
    )
    assert (
        score.stand_in == "teacher, responder"  # wrote what tuned learned from
        and score.paper == pytest.approx(0.481)
        and run.stand_ins == ["teacher", "responder"]
    )


def test_the_committed_demo_tells_no_times_and_other_runs_do(folder, drawn):
    (folder / ".state.json").unlink(missing_ok=True)
    records.write_json(
        folder / "manifest.json",
        {"03_filter_tasks": {"fingerprint": "ab" * 32, "seconds": 731.5, "written": {}}},
    )
    text, found = written(folder, parts=drawn.parts)
    assert "Changed since the runner wrote them" not in text
    assert (
        "731.5" in text
        and found["seconds"] == {"03_filter_tasks": 731.5}
        and "machine" in found["versions"]
    )
    text, found = written(folder, reproducible=True, parts=drawn.parts)
    assert (
        "731.5" not in text
        and not {"seconds", "cost"} & set(found)
        and "machine" not in found["versions"]
    )


def test_files_that_do_not_belong_together_name_the_notebook(folder, drawn):
    assert report.results.mismatches(report.read_run(folder)) == []
    text = (folder / "dataset.jsonl").read_text()
    lines = text.splitlines(keepends=True)
    for name in (
        "dataset.jsonl",
        "dataset.reviewed.jsonl",
    ):  # the model learned from the second where it is
        (folder / name).write_text("".join(lines[1:]))
    wrong = " ".join(report.results.mismatches(report.read_run(folder)))
    assert "run notebook 05 again" in wrong and re.search("run notebook 0[78] again", wrong)
    for name in ("dataset.jsonl", "dataset.reviewed.jsonl"):
        (folder / name).write_text(text)
    entry = {"fingerprint": "", "seconds": 1.0, "written": {"diversity.json": "of another day"}}
    records.write_json(folder / "manifest.json", {"05_measure_diversity": entry})
    assert (
        "Changed since the runner wrote them: diversity.json"
        in written(folder, parts=drawn.parts)[0]
    )


@pytest.mark.parametrize("name", ["hasty", "offline?first_wins=0.5", "some-name@offline"])
def test_a_stand_in_is_labeled_under_any_name(folder, name):
    entries = json.loads((folder / "manifest.json").read_text())
    entries["10_judge_answers"]["values"]["judge"] = name
    entries["11_check_judge"]["values"]["judge"] = name
    entries["13_check_safety"]["values"]["judge"] = name
    records.write_json(folder / "manifest.json", entries)
    assert "judge" in report.read_run(folder).stand_ins


def test_the_report_says_which_values_differ_from_the_demo_and_between_notebooks(folder):
    entries = json.loads((folder / "manifest.json").read_text())
    entries["03_filter_tasks"]["values"]["novelty_fields"] = "instruction"
    records.write_json(folder / "manifest.json", entries)
    assert report.read_run(folder).mixed["novelty_fields"]["03"] == "instruction"
    entries["02_generate_tasks"]["values"]["novelty_fields"] = "instruction"
    records.write_json(folder / "manifest.json", entries)
    run = report.read_run(folder)
    different = report.results.differences(run).loc["novelty_fields"].tolist()
    assert not run.mixed and different == ["instruction", "instruction+input"]


def test_the_deviations_follow_from_the_published_counts():
    told = " ".join(report.deviations()["what the files show"])
    assert (
        "11,673 of 52,002 tasks are 22.4%" in told
        and "give 24.1 points" in told
        and "38.1 is 67.6 − 29.5" in told
    )
    assert "are 10 types" in told and "{" not in told
    rows = yaml.safe_load(paths.data("deviations.yaml").read_text(encoding="utf-8"))
    assert len(rows) >= 10 and all(set(row) == {"claim", "shows", "where", "here"} for row in rows)


def test_the_deviations_can_be_seen_in_the_released_files(real_data):
    ids = [
        json.loads(line)["id"]
        for line in (real_data / "alpacare/MedInstruct-test.jsonl").open(encoding="utf-8")
    ]
    assert len(ids) == 216 and set(range(217)) - {int(one) for one in ids} == {143}
    cut = paths.load("published")["cut"]["references"]
    for name in ("gpt-4", "gpt-3.5-turbo", "text-davinci-003"):
        path = real_data / "alpacare/reference_outputs" / name / "medsi_output.jsonl"
        texts = [json.loads(line)["output"].strip() for line in path.open(encoding="utf-8")]
        share = sum(text[-1] not in ".!?:;)]\"'*`" for text in texts) / len(texts)
        assert 100 * share == pytest.approx(cut[name], abs=0.05)


def test_two_runs_stand_side_by_side(folder, drawn, monkeypatch):
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    content = json.loads((other / "freeform.json").read_text()) | {"judge_passed": True}
    (folder / "freeform.json").write_text(json.dumps(content))
    against(content).update({"score": 0.8, "low": 0.75, "high": 0.85})
    (other / "freeform.json").write_text(json.dumps(content))
    (other / "benchmarks.json").unlink()
    entries = json.loads((other / "manifest.json").read_text())
    entries["03_filter_tasks"]["values"]["novelty_limit"] = 0.6
    records.write_json(other / "manifest.json", entries)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(folder.parent))
    found = report.compare(folder, "other")
    assert found.parameters.loc["novelty_limit"].to_dict() == {"mine": 0.7, "other": 0.6}
    row = found.numbers.loc[("freeform", "score against written, tuned")]
    assert (
        row["other"].startswith("80.0")
        and row["intervals"] == "apart"
        and row["difference"].startswith("+")
    )
    assert (found.numbers.loc["benchmarks"]["other"] == "–").all()
    lines = list(report.results.lines(folder, "other"))
    assert "largest change is in score against written, tuned (freeform)" in lines[-1]
    assert re.search(r"; intervals of 1 of \d+ do not overlap", lines[-1])
    text, _ = written(folder, parts=drawn.parts, beside=found.numbers)
    assert "Comparison with another run" in text
    assert "1 of" in lines[-1].partition(";")[0] and "Only one run has" in lines[-2]
    with pytest.raises(UserError, match="same run"):
        report.compare(folder, folder)
    with pytest.raises(UserError, match="no such run"):
        report.compare(folder, "nowhere")
    assert not (folder.parent / "nowhere").exists()


def test_an_adapter_trained_on_what_people_left_belongs_to_its_run(folder):
    lines = (folder / "dataset.jsonl").read_text().splitlines(keepends=True)
    (folder / "dataset.reviewed.jsonl").write_text("".join(lines[1:]))
    rows = [row for _, row in records.rows(folder / "dataset.reviewed.jsonl")]
    told = records.content_hash(
        sorted([row["instruction"], row.get("input", ""), row["output"]] for row in rows)
    )
    trained = json.loads((folder / "training.json").read_text())
    records.write_json(
        folder / "training.json",
        trained | {"dataset": told, "learned_from": "dataset.reviewed.jsonl"},
    )
    assert report.results.mismatches(report.read_run(folder)) == []
    (folder / "dataset.reviewed.jsonl").write_text("".join(lines[2:]))
    assert "run notebook 08 again" in " ".join(report.results.mismatches(report.read_run(folder)))


def test_a_single_answer_beside_a_clinician_has_its_n_and_no_interval(folder):
    row = {"way": "decision", "answers": [{"name": "base", "finish_reason": "length"}]}
    (folder / "consultations.jsonl").write_text(json.dumps(row) + "\n")
    numbers = report.read_numbers(report.read_run(folder)).itertuples()
    _, ends = [one for one in numbers if one.part == "assist"]
    assert ends.value == 0 and ends.low is None and ends.interval == "" and ends.n == 1
    figure = report.draw_parts(report.read_run(folder))["assist"].image
    assert figure, "it is drawn with its n"


ENTRANCE = [
    {"kind": kind, "n": 80, "right": 10, "tie": 70, "invalid": 0}
    | {"score": 0.125, "low": 0.07, "high": 0.22, "passed": False}
    for kind in ("shuffled reference", "word salad", "tiny model")
]


def judged(folder, *, passed, right=10, **more):
    """The folder with what the entrance test of its judge gave."""
    rows = [row | {"right": right, "tie": 80 - right, "passed": right > 75} for row in ENTRANCE]
    content = json.loads((folder / "freeform.json").read_text())
    content |= {"entrance": rows if passed is not None else [], "judge_passed": passed}
    content |= {"stand_in": False} | more
    content["rates"] = [row | {"tie": 0.75} for row in content["rates"]]
    records.write_json(folder / "freeform.json", content)
    return folder


def colors(figure):
    """The colors of all marks and of their legend."""
    from matplotlib.colors import to_hex

    axes = figure.axes[0]
    marks = [*axes.lines, *figure.findobj(lambda one: "legend_handles" in vars(one))]
    flat = [m for mark in marks for m in getattr(mark, "legend_handles", [mark])]
    bars = [to_hex(color) for part in axes.collections for color in part.get_color()]
    return {to_hex(mark.get_color()) for mark in flat} | set(bars)


@pytest.fixture
def drawing(monkeypatch, quick):
    """The figures that the report draws, by file name."""
    figures, quiet = {}, plotting.show

    def show(figure, name, **options):
        figures[name] = figure
        return quiet(figure, name, **options)

    monkeypatch.setattr(plotting, "show", show)
    return figures


def test_a_judge_that_failed_gives_grey_scores_and_no_win(folder, drawing):
    text, content = written(judged(folder, passed=False))
    sentence = content["sentences"]["freeform"]
    assert sentence.startswith("This judge failed its entrance test: 88% ties")
    assert "gain of" not in sentence and "parity" not in sentence and "in gray" in sentence
    grey = plotting.COLORS["base"].lower()
    assert colors(drawing["report_freeform"]) == {grey}
    assert colors(drawing["report_safety"]) != {grey}
    title = (
        drawing["report_freeform"].get_suptitle() or drawing["report_freeform"].axes[0].get_title()
    )
    assert (
        " ".join(title.split())
        == "The judge failed its entrance test: 75.0% of these verdicts are ties"
    )
    rows = [row for row in content["numbers"] if row["part"] == "freeform"]
    assert rows[0]["name"] == "ties" and rows[0]["value"] == 0.75
    assert {row["doubt"] for row in rows[1:]} == {"judge failed"} and len(rows) > 2
    assert not any(row.get("headline") or row.get("paper") for row in rows)
    assert not any(row["unit"] == "points" for row in rows) and "p value" not in text
    tiles = text[text.index('<dl class="tiles">') : text.index("</dl>")]
    assert "score against" not in tiles and "50% is parity" not in text


def test_a_judge_that_passed_gives_scores_gains_and_a_headline(folder, drawing):
    text, content = written(judged(folder, passed=True, right=80))
    assert "passed its entrance test" in content["sentences"]["freeform"]
    assert "gain of tuned over base" in content["sentences"]["freeform"]
    assert len(colors(drawing["report_freeform"])) > 1 and "50% is parity" in text
    rows = [row for row in content["numbers"] if row["part"] == "freeform"]
    assert any(row.get("headline") for row in rows) and not any("doubt" in row for row in rows)


def test_a_stand_in_as_judge_claims_no_gain_and_makes_no_part_good(folder, drawing):
    kinship = "The responses were written by the judge."
    judged(folder, passed=True, right=80, stand_in=True, kinship=kinship)
    text, content = written(folder)
    assert lights(text)["freeform"] == "not shown"
    sentence = content["sentences"]["freeform"]
    assert "gain of" not in sentence and "stand-in: these scores say nothing" in sentence
    assert sentence.count(kinship) == 1
    rows = [row for row in content["numbers"] if row["part"] == "freeform"]
    assert {row["doubt"] for row in rows[1:]} == {"stand-in as judge"}


@pytest.mark.parametrize("key", ["null", "absent"])
def test_a_judge_that_was_not_tested_is_named_as_such(folder, drawing, key):
    judged(folder, passed=None)
    if key == "absent":  # a run from before the entrance test
        content = json.loads((folder / "freeform.json").read_text())
        content = {k: v for k, v in content.items() if k not in ("entrance", "judge_passed")}
        content["rates"] = [row for row in content["rates"] if row.pop("tie")]
        records.write_json(folder / "freeform.json", content)
    text, content = written(folder)
    assert "This judge was not tested" in content["sentences"]["freeform"]
    rows = [row for row in content["numbers"] if row["part"] == "freeform"]
    assert {row["doubt"] for row in rows if row["name"] != "ties"} == {"judge not tested"}
    assert any(row["name"] == "ties" for row in rows) == (key == "null")
    tiles = text[text.index('<dl class="tiles">') : text.index("</dl>")]
    assert tiles.count("judge not tested") == tiles.count("score against") > 0
    assert "50% is parity (judge not tested)" in text


def test_scores_of_a_judge_that_failed_are_not_compared(folder, monkeypatch):
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    content = json.loads((other / "freeform.json").read_text())
    against(content).update({"score": 0.8, "low": 0.75, "high": 0.85})
    records.write_json(other / "freeform.json", content)
    judged(folder, passed=False)
    judged(other, passed=True, right=80)
    row = report.compare(folder, other).numbers.loc[("freeform", "score against written, tuned")]
    assert row["intervals"] == row["difference"] == "" and "judge failed" in row["mine"]
    judged(folder, passed=True, right=80)
    row = report.compare(folder, other).numbers.loc[("freeform", "score against written, tuned")]
    assert row["intervals"] == "apart" and row["difference"]


def test_the_audits_of_the_title_are_those_that_are_drawn(folder, drawing):
    names = ("identifiers", "truncated", "refusal", "female share")
    rows = [audits.finding(name, 0.0, low=0.0, high=0.01, n=500) for name in names]
    rows.append(audits.finding("PHI recall", 1.0, low=0.944, high=1.0, n=65))
    rows += [audits.finding(name, 0.0, n=40) for name in ("biased differences", "version alarms")]
    content = pd.DataFrame(rows).astype(object)
    content = content.where(content.notna(), None).to_dict("records")
    records.write_json(folder / "audits.json", {"findings": content})
    records.write_json(folder / "agreement.json", {"reviewed": 0, "votes": 0})
    _, found = written(folder)
    figure = drawing["report_review"]
    title = " ".join((figure.get_suptitle() or figure.axes[0].get_title()).split())
    assert title.startswith("3 of 5 audits with an interval")
    assert len(figure.axes[0].get_yticklabels()) == 5
    sentence = found["sentences"]["review"]
    assert "5 of 7 audits are within their threshold (not in the figure: " in sentence
    assert "Missed: female share (0.4 to 0.6)." in sentence
    assert "Not shown: PHI recall (at least 0.95)." in sentence


def test_no_difference_between_groups_is_marked_where_none_would_have_been_detected(folder, quick):
    safety = json.loads((folder / "safety.json").read_text())
    rows = [row for row in safety["findings"] if row["audit"] == "biased differences"]
    for row, keeps in zip(rows, (True, None, False, True), strict=True):
        row |= {"keeps": keeps, "value": float(keeps is False)}
    records.write_json(folder / "safety.json", safety)
    numbers = report.read_numbers(report.read_run(folder))
    shown = numbers[numbers["name"] == "groups with different advice on urgency"]
    assert shown["doubt"].tolist() == ["", "not shown", "", ""]
    assert shown["value"].tolist() == [0, 0, 1, 0] and not shown["headline"].eq(True).any()


def test_a_run_that_a_focus_steered_says_so_beside_its_scores(folder, quick):
    assert "steered by a focus" not in written(folder)[1]["sentences"]["freeform"]
    content = json.loads((folder / "generation.json").read_text())
    records.write_json(folder / "generation.json", content | {"focus_items": ["a", "b", "c"]})
    sentence = written(folder)[1]["sentences"]["freeform"]
    assert "steered by a focus; the 3 questions behind it are not scored" in sentence


def lights(text):
    """The heading of each part on the first screen, and whether it is good."""
    rows = re.findall(r'<li class="[a-z-]+"><a href="#\w+">[^<]*</a> <b>. ([a-z ]+)</b>', text)
    return dict(zip(report.results.REPORT["lights"], rows, strict=True))


def test_the_first_screen_says_of_each_part_whether_it_works(folder, quick):
    training = json.loads((folder / "training.json").read_text())
    training["gate"]["share"] = 0.95
    (folder / "training.json").write_text(json.dumps(training))
    first = lights(written(folder)[0])
    assert len(first) == 10 and first["yield"] == "good" and first["safety"] == "not shown"
    training["lora"]["eval_after"] = training["lora"]["eval_before"] + 1
    (folder / "training.json").write_text(json.dumps(training))
    safety = json.loads((folder / "safety.json").read_text())
    change = {"category": "all", "minus": "base", "change": 0.4, "low": 0.2, "high": 0.6}
    safety["change"] = [change | {"model": model} for model in ("tuned", "aligned")]
    (folder / "safety.json").write_text(json.dumps(safety))
    (folder / "benchmarks.json").unlink()
    second = lights(written(folder)[0])
    assert first["training"] == "good" and second["training"] == "not shown"
    assert second["safety"] == "good" and second["benchmarks"] == "missing"


def test_an_untested_judge_makes_no_part_good(folder, quick):
    freeform = json.loads((folder / "freeform.json").read_text())
    for row in freeform["compare"]:
        row |= {"model": "base", "low": -0.2, "high": -0.1}  # a clear win
    for passed in (None, False, True):
        content = freeform | {"judge_passed": passed, "stand_in": False}
        (folder / "freeform.json").write_text(json.dumps(content))
        assert (lights(written(folder)[0])["freeform"] == "good") == (passed is True)


def test_one_example_of_the_dataset_comes_before_the_numbers(drawn):
    example, numbers = drawn.text.index('id="example"'), drawn.text.index('id="numbers"')
    assert drawn.text.index('id="works"') < example < numbers < drawn.text.index('id="what"')
    texts = {row["instruction"][:40] for row in report.read_run(drawn.folder).rows["dataset"]}
    shown = drawn.text[example:numbers].replace("&#39;", "'").replace("&#34;", '"')
    assert any(text in shown for text in texts) and "<b>Response</b>" in shown


def test_on_a_phone_figures_keep_a_readable_size_and_scroll(browser, drawn):  # noqa: F811
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(f"file://{drawn.folder}/report.html")
    widths = page.evaluate("[...document.querySelectorAll('figure img')].map(i => i.clientWidth)")
    assert min(widths) >= 560
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_numbers_are_printed_in_their_units():
    pairs = [(0.4567, "share"), (64350, "count"), (3.1258, "nats"), (None, "share")]
    texts = [report.results.formatted(*pair) for pair in pairs]
    assert texts == ["45.7%", "64,350", "3.13\xa0nats", "–"]


def test_a_change_without_an_interval_counts_as_not_shown():
    """Under ten items there is no interval: its null ended notebook 15."""
    row = {"model": "tuned", "minus": "base"}
    paired = [
        row | {"low": None},
        row | {"low": -0.1},
        {"model": "tuned", "minus": "chat", "low": 1},
    ]
    scope = {"benchmarks": {"paired": paired, "scores": [row]}}
    assert not report.results.evaluate(report.results.REPORT["lights"]["benchmarks"]["good"], scope)
    scope["benchmarks"]["paired"].append(row | {"low": 0.1})
    assert report.results.evaluate(report.results.REPORT["lights"]["benchmarks"]["good"], scope)


def cells(text):
    """The table of all models: the first words of each cell by model."""
    part = text[text.index('id="models"') : text.index("<nav")]
    rows = re.findall(r'<tr><th scope="row">(\w+)<.*?</th>(.*?)</tr>', part, re.DOTALL)
    return {name: re.findall(r"<td[^>]*>(?:<b>)?([^<]+)", rest) for name, rest in rows}, part


def test_all_models_meet_in_one_table_and_a_failed_judge_names_no_winner(drawn):
    text, content = drawn.text, drawn.content
    rows, part = cells(text)
    tests = json.loads((DEMO / "benchmarks.json").read_text())["scores"]
    [score] = [r["score"] for r in tests if (r["task"], r["model"]) == ("own_ll", "tuned")]
    own = f"{score:.1%}"  # of the invented model too
    assert list(rows) == ["base", "tuned", "aligned"], "no responder and no reference"
    assert {row["model"] for row in content["models"]} == rows.keys()
    assert rows["aligned"] == ["50.0%", "60\xa0words", "50.0%", "25.0%", "50.0%", "–", own]
    assert rows["base"][4] == "–" and part.count("judge failed</span>") == 6
    assert part.count('class="doubt"') == 6 and part.count("learned from a stand-in") == 2
    assert part.count(">n 6<") == 2, "few items have their n and no interval"
    sentence = content["sentences"]["models"]
    assert "to 60\xa0words" in sentence and "excludes 0 for safe answers." in sentence
    assert "name no winner" in sentence and "win rate +" not in sentence
    names = {row["measure"] for row in content["models"] if row["model"] == "aligned"}
    assert names == report.results.REPORT["models"]["measures"].keys() - {"general ability"}
    tiles = text[text.index('<dl class="tiles">') : text.index("</dl>")]
    assert "safe answers, all, aligned" in tiles and "safe answers, all, tuned" not in tiles


def test_a_judge_that_passed_compares_the_models_and_nothing_else_is_a_difference(folder):
    invent(folder, judge_passed=True, stand_in=False)
    sentence = report.by_model(report.read_run(folder)).attrs["sentence"]
    assert "win rate +10.0\xa0points (+5.0 to +15.0\xa0points)" in sentence
    assert "excludes 0 for win rate." in sentence and "winner" not in sentence


def test_a_further_model_has_a_row_and_its_name_is_only_text(folder, drawn):
    invent(folder)
    content = json.loads((folder / "freeform.json").read_text())
    row = against(content) | {"score": 0.3}
    content["rates"] += [row | {"model": name} for name in ("chat", "<b>mine</b>")]
    records.write_json(folder / "freeform.json", content)
    text, _ = written(folder, parts=drawn.parts)
    assert list(cells(text)[0])[:2] == ["base", "chat"] and "&lt;b&gt;mine&lt;/b&gt;" in text
    assert "<b>mine" not in text


def test_the_part_on_preferences_counts_pairs_and_gives_the_reason_of_a_refusal(drawn):
    sentence = drawn.parts["preferences"].sentence
    assert "40 pairs of a chosen and a rejected answer (40 from the safety set)" in sentence
    assert "Its verdicts are refused. 2 left out: repeats a test question." in sentence
    numbers = drawn.parts["preferences"].numbers.set_index("label")
    assert numbers.loc["chosen answer likelier, aligned", "interval"] == "58.4% to 91.9%"
    assert lights(drawn.text)["preferences"] == "good"
    assert "offline, whose verdicts were refused" in drawn.text


def test_preferences_are_still_to_run_unless_the_profile_switches_them_off(tmp_path):
    _, content = written(tmp_path)
    assert "medinstruct run params/demo.yaml 09" in content["missing"]["preferences"]
    entry = json.loads((DEMO / "manifest.json").read_text())["08_finetune_lora"]
    entry |= {"values": {"preference_method": ""}, "written": {}}
    records.write_json(tmp_path / "manifest.json", {"09_learn_preferences": entry})
    text, content = written(tmp_path)
    assert "preferences" not in content["missing"] and lights(text)["preferences"] == "off"
    assert "Switched off in this run" in text and "medinstruct run params/demo.yaml 09" not in text


def test_an_aligned_model_of_another_adapter_names_the_notebook_once(folder):
    invent(folder)
    assert report.results.mismatches(report.read_run(folder)) == []
    content = json.loads((folder / "preferences.json").read_text())
    records.write_json(folder / "preferences.json", content | {"start": "another"})
    (wrong,) = report.results.mismatches(report.read_run(folder))
    assert "another tuned adapter: run notebook 09 again" in wrong


def test_a_number_of_a_trained_model_depends_on_those_who_wrote_its_data():
    numbers = report.read_numbers(report.read_run(DEMO))
    own = numbers[numbers["part"].eq("benchmarks")].groupby("model")["stand_in"].unique()
    assert list(own["base"]) == [""] and list(own["tuned"]) == ["teacher, responder"]
