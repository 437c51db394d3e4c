"""The notebooks themselves, end to end; every cell twice; every exercise."""

import json
import re
import shutil
from functools import cache

import nbformat as nf
import papermill
import pytest
from support import in_process, tiny_model

from medinstruct import manifest, params, paths, pipeline

SMALL = {
    "requests": 20,
    "learning_rate": 5e-3,
    "train_share": 0.3,
    "answer_max_tokens": 20,
    "assist_max_tokens": 20,
    "judge_items": 6,
    "safety_items": 0,
    "benchmark_limit": 10,
    "generation_limit": 2,
    "preference_options": {"max_length": 1024, "batch_size": 8},
}
QUICK_FIGURES = f"""import sys
sys.path.append({str(paths.root() / "lib/tests")!r})
from support import in_process
in_process.quick_figures()"""
CHANGING = (".sqlite", ".sqlite-wal", ".sqlite-shm", ".ipynb", ".html")  # times, caches, pages


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A small run of all notebooks, with a tiny base model; and a line on each notebook."""
    folder = tmp_path_factory.mktemp("outputs") / "Ärzte & Daten #1 {x}? 100%20 [a]* 😀"
    texts = (paths.root() / "outputs/demo/dataset.jsonl").read_text(encoding="utf-8").splitlines()
    shape = {"vocab_size": 2048, "hidden_size": 64, "max_position_embeddings": 2048}
    base = tiny_model.build(folder / "tiny", texts[:100], chat=True, steps=0, **shape)
    values = {"run": "small", "base_model": base} | SMALL
    sets = [f"{name}={value}" for name, value in values.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINSTRUCT_OUTPUTS", str(folder))
        in_process.instead_of_kernels(patch)  # a kernel for each would take half of the time
        lines = pipeline.run("demo", sets=sets)
        again = pipeline.run("demo", sets=sets, only=["01", "02", "03", "04", "05", "06", "08"])
    return folder / "small", sets, lines, again


def contents(folder):
    """The hash of each file of a run that must not change when a notebook runs again."""
    files = [f for f in folder.rglob("*") if f.is_file() and not f.name.endswith(CHANGING)]
    skipped = ("manifest.json", ".state.json", "training_speed.json")
    return {str(f.relative_to(folder)): manifest.of_path(f) for f in files if f.name not in skipped}


def test_the_whole_pipeline_runs_and_is_up_to_date_after_that(small_run):
    out, _, lines, again = small_run
    assert not any("up to date" in line for line in lines)
    assert all("up to date" in line for line in again)
    training = json.loads((out / "training.json").read_text())["lora"]
    assert training["eval_after"] < training["eval_before"]
    judged = json.loads((out / "freeform.json").read_text())
    assert judged["trained_tokens"] > judged["room"] == SMALL["answer_max_tokens"]
    assert "an answer as long as those was cut" in (out / "report.html").read_text()
    assert (out / "focus.json").is_file() and (out / "report.html").stat().st_size > 10_000


def test_a_held_out_loss_that_rises_is_a_warning_and_the_later_notebooks_have_their_files(
    small_run, worse, executed, monkeypatch
):
    """The result of a training that made the model worse, as the adapter's folder keeps it."""
    out, sets, _, _ = small_run
    folder, before = worse
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(out.parent))
    page = executed("model")[1]
    training = json.loads((folder / "training.json").read_text())
    assert training["warning"].endswith(f" {before} → {before + 1}")
    assert "did not lower the held-out loss" in page and "Held-out loss rises" in page
    assert "Raise `answer_max_tokens`" in page, "answers of notebook 10 are cut"
    assert "warning" not in json.loads((out / "training.json").read_text())
    assert manifest.begin("12_run_benchmarks", params.merged("demo", [*sets, "run=worse"]))


def test_the_published_seeds_and_test_set_go_through_the_same_notebooks(
    real_data, tmp_path, monkeypatch, no_kernels
):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    data = real_data / "alpacare"
    sets = [f"seeds={data / 'med_seed.json'}", f"test_set={data / 'MedInstruct-test.jsonl'}"]
    pipeline.run("demo", only=["01", "02", "03"], sets=[*sets, "run=real", "requests=20"])
    assert len((tmp_path / "real/seeds.jsonl").read_text().splitlines()) == 167
    searched = json.loads((tmp_path / "real/contamination.json").read_text())["sets"]
    assert searched["freeform"]["items"] == 216


def code(notebook, sets, *, times):
    """The code cells of a notebook, each that often after its values, in an emptied kernel."""
    values = params.merged("demo", sets)
    own = {name: values[name] for name in params.declared(notebook)}
    cells = [nf.v4.new_code_cell("%reset -f", metadata={"notebook": notebook.stem})]
    for cell in pipeline.runner.with_input(notebook, values).cells:
        if cell.cell_type == "code":
            often = 1 if cell.id in ("setup", "parameters") else times
            cells += [nf.v4.new_code_cell(cell.source) for _ in range(often)]
        if cell.id == "parameters":
            lines = [f"{name} = {value!r}" for name, value in own.items()]
            cells.append(nf.v4.new_code_cell("\n".join(lines)))
    return cells


def answers(notebook):
    """The answers to the exercises of a notebook."""
    book = nf.read(notebook, as_version=4)
    text = next(cell.source for cell in book.cells if cell.id == "exercises")
    texts = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(texts) == 2 and all("assert " in text for text in texts)
    return [nf.v4.new_code_cell(text) for text in texts]


@pytest.fixture(scope="module")
def worse(small_run):
    """A copy of the run whose training says that the loss rose; and the loss before."""
    out = small_run[0]
    kept = shutil.ignore_patterns("*.ipynb", "*manifest*", ".state.json", "pages")
    folder = shutil.copytree(out, out.parent / "worse", ignore=kept)
    made = json.loads((folder / "adapter/made.json").read_text())
    before = made["result"]["eval_before"]
    made["result"]["eval_after"] = before + 1
    (folder / "adapter/made.json").write_text(json.dumps(made))
    return folder, before


@pytest.fixture(scope="module")
def executed(small_run, worse, tmp_path_factory):
    """A function that runs an act once: the files that changed, and what the cells put out.

    Many notebooks share a kernel, emptied between them, so that packages are imported once.
    """
    out, sets, _, _ = small_run

    @cache
    def run(act):
        chosen = [book for book in paths.notebooks() if (book.stem < "08") == (act == "data")]
        assert len(chosen) >= 7
        cells = [nf.v4.new_code_cell(QUICK_FIGURES)]
        cells += [c for one in chosen for c in (*code(one, sets, times=2), *answers(one))]
        if act == "model":
            cells += code(paths.notebook("08_finetune_lora"), [*sets, "run=worse"], times=1)
        file, before = tmp_path_factory.mktemp("twice") / f"{act}.ipynb", contents(out)
        nf.write(nf.v4.new_notebook(cells=cells), file)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MEDINSTRUCT_OUTPUTS", str(out.parent))
            quiet = {"kernel_name": "python3", "progress_bar": False}
            book = papermill.execute_notebook(file, None, **quiet)  # saved at no cell
        after = contents(out)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        return changed, str([cell.get("outputs") for cell in book.cells])

    return run


@pytest.mark.parametrize("act", ["data", "model"])
def test_every_cell_may_run_twice_and_every_exercise_has_a_right_answer(act, executed):
    assert not executed(act)[0]
