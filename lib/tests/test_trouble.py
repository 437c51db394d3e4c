"""The one net: what nothing foresaw is one message; output goes into every file and pipe."""

import asyncio
import builtins
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from support import tiny_model

from medinstruct import __main__ as cli
from medinstruct import failures, llm, params, paths, plotting, tasks, training
from medinstruct.errors import UserError
from medinstruct.pipeline import runner
from medinstruct.records import Example

LABELS = {"topic": "Sleep", "view": "patient", "difficulty": 2, "type": "chat", "input": ""}


def fail(error):
    def raise_it(*_, **__):
        raise error

    return raise_it


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    return tmp_path


ERRORS = [
    ValueError("some value"),
    ImportError("cannot import name 'x' from 'pandas'"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    OSError(28, "No space left on device"),
    PermissionError(13, "Permission denied"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    BrokenPipeError(32, "Broken pipe"),
    StopIteration(),
    KeyError("column"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_that_nothing_foresaw_is_one_message_with_its_log(
    error, outputs, monkeypatch, capsys
):
    (outputs / "mine").mkdir()
    monkeypatch.setattr(runner, "_run_one", fail(error))
    assert cli.main(["run", "demo", "--set", "run=mine"]) == 2
    message = capsys.readouterr().err
    assert type(error).__name__ in message and message.count("do:") == 1
    assert "Traceback" not in message and "File" not in message
    log = outputs / "mine/error.log"
    assert f"The log is {log}" in message and "Traceback" in log.read_text()


def test_a_traceback_is_shown_with_debug_alone(outputs, monkeypatch):
    monkeypatch.setattr(runner, "lines", fail(ValueError("some value")))
    with pytest.raises(ValueError, match="some value"):
        cli.main(["run", "demo", "--debug"])


@pytest.mark.parametrize("command", ["doctor", "params", "compare", "sweep", "run"])
def test_every_command_has_the_net_also_where_no_run_is_named(
    command, outputs, monkeypatch, capsys
):
    monkeypatch.setattr(cli, "_lines", fail(ZeroDivisionError("division by zero")))
    more = {"params": ["demo"], "compare": ["a", "b"], "sweep": ["demo", "--grid", "seed=1,2"]}
    arguments = more.get(command, ["demo"] if command == "run" else [])
    assert cli.main([command, *arguments]) == 2
    message = capsys.readouterr().err
    assert f"`{command}` stopped" in message and "ZeroDivisionError" in message
    log = message.split("The log is ")[1].strip().removesuffix(".")
    assert "Traceback" in Path(log).read_text()
    Path(log).unlink()
    assert not list(outputs.iterdir()), "a run that was not begun gets no folder"


def test_where_no_log_can_be_written_the_message_says_so(outputs, monkeypatch, capsys):
    import tempfile

    monkeypatch.setattr(
        tempfile, "NamedTemporaryFile", fail(PermissionError(13, "Permission denied"))
    )
    monkeypatch.setattr(runner, "lines", fail(ValueError("some value")))
    assert cli.main(["run", "demo"]) == 2
    message = capsys.readouterr().err
    assert "some value" in message and "--debug" in message


def test_no_secret_is_in_the_message_or_the_log(outputs, monkeypatch, capsys):
    names = ("OPENAI_API_KEY", "HF_TOKEN", "MISTRAL_API_KEY", "DB_PASSWORD", "HTTPS_PROXY")
    values = {name: f"value-of-{name.lower()}" for name in names}
    for name, value in values.items():
        monkeypatch.setenv(name, f" {value}\r\n")  # as copied, with what is about it
    (outputs / "mine").mkdir()
    monkeypatch.setattr(runner, "_run_one", fail(ValueError(f"sent {' '.join(values.values())}")))
    assert cli.main(["run", "demo", "--set", "run=mine"]) == 2
    written = capsys.readouterr().err + (outputs / "mine/error.log").read_text()
    assert not [value for value in values.values() if value in written]
    assert all(f"<{name}>" in written for name in names)


def test_a_variable_that_the_table_of_models_names_is_a_secret(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    (tmp_path / "params/models.yaml").write_text("mine: {url: 'http://host/v1', key: MY_CRED}\n")
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.setenv("MY_CRED", "what-nobody-knows")
    assert failures.redacted("a what-nobody-knows b") == "a <MY_CRED> b"
    (tmp_path / "params/models.yaml").write_text("mine: [")
    assert failures.redacted("a b") == "a b", "a broken table hides no error"


def test_a_short_or_empty_variable_blanks_nothing(monkeypatch):
    monkeypatch.setenv("LOCAL_KEY", "none")
    monkeypatch.setenv("EMPTY_TOKEN", "")
    assert failures.redacted("none of this") == "none of this"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "latin-1", "ascii", "shift_jis"])
def test_signs_that_a_file_cannot_hold_are_replaced(encoding, monkeypatch):
    lines = ["… █ → ≥ é ü ± 日本 😊 \udcff", "the end"]
    monkeypatch.setattr(cli, "_lines", lambda given: iter(lines))
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding=encoding))
    assert cli.main(["doctor"]) == 0
    assert file.getvalue().decode(encoding).splitlines()[1] == "the end"


def test_a_file_without_unicode_gets_the_bar_the_doctor_and_the_table():
    """A shell whose locale is C, and output into files, as a batch system has it."""
    plain = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "LC_ALL": "C"}
    code = (
        "from medinstruct.__main__ import main; from tqdm import tqdm; import sys\n"
        "codes = [main(['doctor', 'demo']), main(['params', 'demo'])]\n"
        "list(tqdm('12')); sys.exit(any(codes))"
    )
    line = [sys.executable, "-c", code]
    environment = {**os.environ, **plain, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(line, capture_output=True, env=environment, cwd=paths.root())
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert b"Traceback" not in done.stderr and b"novelty_limit" in done.stdout


@pytest.mark.parametrize(
    "redirection, code",
    [("| head -1", 0), (">&-", 0), (">&- 2>&-", 0), ("> /dev/full", 2), ("2> /dev/full", 0)],
)
def test_a_closed_or_full_output_is_no_traceback(redirection, code):
    line = f"set -o pipefail; {sys.executable} -m medinstruct params demo {redirection}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=paths.root(), env={**os.environ}
    )
    assert done.returncode == code and "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    assert bool(done.stderr) == (code == 2)


def test_no_output_at_all_as_under_pythonw_is_no_error(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    codes = cli.main(["params", "demo"]), cli.main(["params", "nowhere"])
    assert codes == (0, 2)


def test_a_working_folder_that_is_gone_is_one_message(tmp_path):
    line = f"cd {tmp_path}; rmdir {tmp_path}; {sys.executable} -m medinstruct params demo"
    library = str(paths.PACKAGE.parent)
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": library},
    )
    assert done.returncode == 2 and "do:" in done.stderr and "Traceback" not in done.stderr


def test_remedies_name_errors_that_exist():
    kinds = paths.load("remedies").keys() - {"other", "DeadKernelError", "KernelError"}
    assert all(hasattr(builtins, kind) for kind in kinds - {"OutOfMemoryError", "SafetensorError"})
    assert failures.remedy("KeyError") == paths.load("remedies")["other"]


def without(pattern):
    return lambda folder: [file.unlink() for file in folder.glob(pattern)]


def holding(name, content):
    return lambda folder: (folder / name).write_bytes(content)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 269060552\n"
DAMAGES = {
    "no files": without("*"),
    "no weights": without("*.safetensors"),
    "no tokenizer": without("tokenizer*"),
    "a download that ended early": holding("model.safetensors", b"\x08\0\0\0\0\0\0\0{"),
    "weights of no bytes": holding("model.safetensors", b""),
    "a pointer in place of the weights": holding("model.safetensors", POINTER),
    "a configuration that is no JSON": holding("config.json", b"{"),
    "a configuration that is a list": holding("config.json", b"[1]"),
    "a tokenizer without its parts": holding("tokenizer.json", b"{}"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("model"), chat=True, steps=0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_training_and_answering_say_the_same_of_a_model_that_is_not_whole(damage, whole, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(whole, folder)
    DAMAGES[damage](folder)
    rows = [
        Example(**LABELS, instruction=f"What is {n}?", output="Rest.", task=f"{n}")
        for n in range(9)
    ]
    messages = []
    for use in (
        lambda: llm.LocalModel(folder),
        lambda: training.finetune_lora(rows, base=folder, folder=tmp_path / "adapter"),
    ):
        with pytest.raises(UserError, match="could not be loaded") as caught:
            use()
        messages.append(caught.value)
    assert messages[0].what == messages[1].what and messages[0].do == messages[1].do
    assert all("mine" in str(message) for message in messages)


UNKNOWN = {"type": "zz", "topic": "zz", "view": "zz", "style": ""}  # labels that no rule knows


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def executed(notebooks, tmp_path):
    """The outputs of notebooks, each with its values, that share a kernel, emptied between them."""
    cells = []
    for number, values in notebooks:
        [source] = [book for book in paths.notebooks() if book.stem.startswith(number)]
        values = params.merged("demo") | values
        code = [c for c in runner.with_input(source, values).cells if c.cell_type == "code"][1:]
        own = [f"{name} = {values[name]!r}" for name in params.declared(source)]
        code[0].source += "\n" + "\n".join(own)
        cells += [nbformat.v4.new_code_cell(c.source) for c in code]
        cells.append(nbformat.v4.new_code_cell("%reset -f"))
    file = tmp_path / "all.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    kernel = {"kernel_name": "python3", "kernel_manager_class": runner.own_kernel(tmp_path)}
    papermill.execute_notebook(file, file, progress_bar=False, **kernel)
    return str([cell.get("outputs", "") for cell in nbformat.read(file, as_version=4).cells])


def test_the_data_notebooks_have_a_page_for_one_seed_one_example_and_no_answer(outputs, tmp_path):
    """A label that no rule knows, a dataset of one, and answers that were cut, every one."""
    odd = {**LABELS, **UNKNOWN, "instruction": "What should a patient avoid in the evening?"}
    lines(tmp_path / "odd.jsonl", [odd])
    example = {**odd, "output": "Avoid coffee. Keep the light low.", "task": "1", "request": "1"}
    lines(outputs / "single/dataset.jsonl", [example])
    lines(outputs / "single/seeds.jsonl", [odd])
    for name in ("raw_tasks", "tasks", "rejects", "dropped"):
        lines(outputs / f"cut/{name}.jsonl", [odd] if name.endswith("tasks") else [])
    (outputs / "cut/generation.json").write_text('{"asked": 1}')
    single, cut = {"run": "single"}, {"run": "cut", "response_max_tokens": 3}
    one = {"run": "one", "seeds": str(tmp_path / "odd.jsonl")}
    pages = executed([("01", one), ("04", cut), ("06", single), ("07", single)], tmp_path)
    assert "A single seed resembles no other" in pages and "No answer is complete" in pages
    assert "share of the 0 texts that name one sex: – (n = 0)" in pages
    assert (outputs / "cut/dataset.jsonl").read_text() == ""
    assert (outputs / "cut/unfinished.jsonl").read_text()
    assert (outputs / "single/agreement.json").exists()


def test_a_teacher_that_writes_no_task_is_one_message_with_its_reasons():
    from medinstruct.records import Task

    client = llm.connect("offline?refusal=1.0")
    seeds = [Task(**LABELS, instruction="What should be avoided?")]
    settings = {"requests": 2, "seeds_per_request": 1, "sampling": {"max_tokens": 50}}
    with pytest.raises(UserError, match="wrote no usable task"):
        asyncio.run(tasks.generate(client, seeds, **settings))
    with pytest.raises(UserError, match="`requests` must be at least 1"):
        tasks.first_requests(seeds, **settings | {"requests": 0})


def test_a_number_that_was_not_measured_is_no_nan_in_a_sentence():
    nan = float("nan")
    assert plotting.display.estimate(nan, nan, nan, 0) == "– (n = 0)"
    assert plotting.display.estimate(0.5, nan, nan, 2) == "50% (n = 2)"
