"""The runner on small notebooks: order, up to date, failures that name the cell."""

import importlib.metadata
import re
import sys

import nbformat as nf
import pytest

from medinstruct import __main__ as cli
from medinstruct import manifest, paths, pipeline
from medinstruct.errors import UserError
from medinstruct.pipeline import doctor, runner, status


def run_lines(profile="params/p.yaml", **more):
    return pipeline.run(profile, **more)


def notebook(folder, name, reads, writes, code):
    cells = [
        nf.v4.new_code_cell(
            'run: str = "t"  # Name.\nread_from: str = ""  # Run to read.\nsize: int = 1  # Size.',
            metadata={"tags": ["parameters"]},
            id="parameters",
        )
    ]
    cells.append(
        nf.v4.new_code_cell(
            f"from medinstruct import paths\nout = paths.outputs(run)\n{code}", id="work"
        )
    )
    book = nf.v4.new_notebook(
        cells=cells, metadata={"medinstruct": {"reads": reads, "writes": writes}}
    )
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nf.write(book, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def house(tmp_path, monkeypatch):
    for name in ("notebooks", "params"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params" / "p.yaml").write_text("run: t\nsize: 1\n")
    notebook(tmp_path, "01_one", [], ["a.txt"], '(out / "a.txt").write_text("x" * size)')
    notebook(
        tmp_path,
        "02_two",
        ["a.txt"],
        ["b.txt"],
        '(out / "b.txt").write_text((out / "a.txt").read_text() * 2)',
    )
    return tmp_path


def test_what_is_up_to_date_is_not_run_again_and_a_new_value_is(house, no_kernels):
    assert all("done" in line for line in run_lines())
    assert all("up to date" in line for line in run_lines())
    run_lines(sets=["size=3"], force=True)
    assert (house / "outputs/t/b.txt").read_text() == "x" * 6


def test_status_says_what_would_run_and_why_and_changes_nothing(house, no_kernels):
    def shown(name="params/p.yaml", **more):
        return [line.replace(str(house), "") for line in status.lines(name, **more)]

    first = shown()
    assert first[0].startswith("would run   01_one: never run here; no time (stated)")
    assert (
        first[2] == "2 of 2 notebooks would run in /outputs/t." and not (house / "outputs").exists()
    )
    run_lines()
    assert (
        shown()
        == shown("t")
        == [
            "up to date  01_one",
            "up to date  02_two",
            "0 of 2 notebooks would run in /outputs/t.",
        ]
    )
    [one, two, _] = shown(sets=["size=3"])
    assert one.startswith("would stop  01_one: size was 1 in 01_one, is 3 now")
    notebook(house, "01_one", [], ["a.txt"], '(out / "a.txt").write_text("x" * size * 2)')
    [one, two, total] = shown()
    assert "01_one: source changed; " in one and " s measured" in one
    assert "02_two: its input changes when 01 has run; " in two and "2 of them took" in total
    [two, total] = shown(only=["02"])
    assert two == "up to date  02_two" and total.startswith("0 of 1 notebooks would run")
    (house / "outputs/t/a.txt").write_text("y")
    assert "input a.txt changed" in shown()[1] and "output a.txt changed" in shown()[0]
    reads = shown(sets=["run=u", "read_from=t"])
    assert "never run here" in reads[1] and not (house / "outputs/u").exists()


def test_a_failed_copy_goes_when_the_notebook_is_up_to_date_again(house, no_kernels):
    run_lines()
    code = '(out / "b.txt").write_text((out / "a.txt").read_text() * 2)'
    notebook(house, "02_two", ["a.txt"], ["b.txt"], "1 / 0")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        run_lines()
    assert (house / "outputs/t/02_two_failed.ipynb").exists()
    notebook(house, "02_two", ["a.txt"], ["b.txt"], code)
    assert "02_two: up to date" in run_lines()
    assert not list((house / "outputs/t").glob("*_failed.ipynb"))


def test_open_shows_the_report_and_names_the_runs(house, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    (house / "outputs/my run").mkdir(parents=True)
    (house / "outputs/my run/report.html").write_text("<p>")
    assert cli.main(["open", "my run"]) == 0
    address = f"file://{house}/outputs/my%20run/report.html"
    assert capsys.readouterr().out.strip() == f"Opening {address}" and opened == [address]
    (house / "outputs/my run/manifest.json").write_text("{}")
    for name, words in {"my rum": "Did you mean my run?", "u": "Runs here: my run."}.items():
        assert cli.main(["open", name]) == 2
        assert words in capsys.readouterr().err


def test_a_bare_call_prints_help_and_the_version_is_that_of_the_package(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: medinstruct") and "status" in text
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == importlib.metadata.version("medinstruct")
    [script] = importlib.metadata.entry_points(group="console_scripts", name="medinstruct") or [
        None
    ]
    assert script is None or script.load() is cli.main


def test_files_that_other_values_wrote_are_not_overwritten(house, no_kernels):
    run_lines()
    with pytest.raises(
        UserError, match=r"other values(.|\n)*size was 1 in 01_one, is 3 now(.|\n)*read_from: t"
    ):
        run_lines(sets=["size=3"])
    assert (house / "outputs/t/a.txt").read_text() == "x"
    run_lines(sets=["size=3", "run=u"])
    assert (house / "outputs/u/b.txt").read_text() == "x" * 6
    assert (house / "outputs/t/b.txt").read_text() == "xx"
    (house / "outputs/u/a.txt").unlink()  # what has been deleted may be written anew
    run_lines(only=["01"], sets=["size=2", "run=u"])
    with pytest.raises(UserError, match="size was 3 in 02_two, is 2 now"):
        run_lines(only=["02"], sets=["size=2", "run=u"])
    with pytest.raises(UserError, match="`run` the notebooks named here with --force"):
        run_lines(only=["02"], sets=["size=2", "run=u"])
    run_lines(only=["02"], sets=["size=2", "run=u"], force=True)
    assert (house / "outputs/u/b.txt").read_text() == "x" * 4


def test_the_manifest_keeps_no_password_of_the_address_of_a_model(house):
    values = {"run": "t", "teacher": "m@http://u:pa55@127.0.0.1:9/v1"}
    manifest.begin("01_one", values).record()
    manifest.begin("01_one", values)  # the same values
    text = (house / "outputs/t/manifest.json").read_text()
    assert "pa55" not in text and "m@http://127.0.0.1:9/v1" in text


def test_one_run_reads_another_and_leaves_it_alone(house, no_kernels):
    run_lines()
    before = manifest.of_path(house / "outputs/t")
    run_lines(only=["02"], sets=["run=u", "read_from=t"])
    assert (house / "outputs/u/b.txt").read_text() == "xx"
    assert manifest.of_path(house / "outputs/t") == before
    (house / "outputs/t/a.txt").write_text("y")
    assert "02_two: done" in run_lines(only=["02"], sets=["run=u", "read_from=t"])[0]
    assert (house / "outputs/u/b.txt").read_text() == "yy", "an older copy is replaced"
    (house / "outputs/u/a.txt").write_text("own")
    run_lines(only=["02"], sets=["run=u", "read_from=t"])
    assert (house / "outputs/u/b.txt").read_text() == "ownown", "what the run wrote itself stays"


def test_a_missing_input_names_the_notebook_that_writes_it_and_no_folder_is_made(house):
    with pytest.raises(UserError, match="`read_from` does not name a run"):
        run_lines(only=["02"], sets=["run=u", "read_from=mistyped"])
    for sets in ([], ["run=mistyped"]):
        with pytest.raises(UserError, match="Notebook 01_one writes a.txt; run it first") as error:
            run_lines(only=["02"], sets=sets)
        run = "mistyped" if sets else "t"
        assert f'`medinstruct run PROFILE 01 --set "run={run}"`. Or name in' in error.value.do
    assert "medinstruct run" not in paths.missing("my/a.txt").do  # a path of the user's own
    assert not (house / "outputs").exists()


def test_an_input_without_a_row_names_the_notebook_that_left_it_so(house, no_kernels):
    """As when every answer was cut: the next notebook would only divide by nothing."""
    notebook(house, "01_one", [], ["dataset.jsonl"], '(out / "dataset.jsonl").write_text("")')
    notebook(house, "02_two", ["dataset.jsonl"], ["b.txt"], "1 / 0")
    with pytest.raises(UserError, match="01_one left dataset.jsonl empty(.|\n)*set aside"):
        run_lines()
    notebook(house, "01_one", [], ["dropped.jsonl"], '(out / "dropped.jsonl").write_text("")')
    code = '(out / "b.txt").write_text("")'
    notebook(house, "02_two", ["dropped.jsonl"], ["b.txt"], code)
    assert all("done" in line for line in run_lines(sets=["run=u"])), "nothing dropped is well"


def test_a_section_without_its_parameter_is_left_out_and_only_what_differs_is_injected(
    house, no_kernels
):
    path = house / "notebooks" / "01_one.ipynb"
    book = nf.read(path, as_version=4)
    tagged = {"tags": ["needs-read_from"]}
    book.cells.append(nf.v4.new_code_cell("print(read_from)", id="more", metadata=tagged))
    nf.write(book, path)
    run_lines(only=["01"])
    executed = nf.read(house / "outputs/t/01_one.ipynb", as_version=4)
    assert [cell.id for cell in executed.cells] == ["parameters", "work"]
    run_lines(only=["01"], sets=["run=u", "read_from=t"])
    executed = nf.read(house / "outputs/u/01_one.ipynb", as_version=4)
    assert [cell.id for cell in executed.cells] == ["parameters", "injected", "work", "more"]
    assert "size" not in executed.cells[1].source


def test_each_executed_notebook_gets_a_page_and_the_command_says_where_the_time_went(
    house, capsys, no_kernels
):
    assert cli.main(["run", "params/p.yaml"]) == 0
    page = house / "outputs/t/pages/02_two.html"
    assert "a.txt" in page.read_text() and (house / "outputs/t/pages/01_one.html").exists()
    table = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in table] == ["01_one", "02_two", "Total"]
    times = [float(line.split()[-2]) for line in table]
    assert times[2] >= times[0] + times[1] - 0.1 and times[2] > 0
    page.unlink()
    run_lines()
    assert page.exists(), "a page that is missing is written though its notebook is up to date"


def test_what_is_read_if_it_is_there_is_not_required_but_makes_the_notebook_run_again(
    house, no_kernels
):
    path = house / "notebooks" / "02_two.ipynb"
    book = nf.read(path, as_version=4)
    book.metadata["medinstruct"] = {
        "reads": ["a.txt"],
        "reads_if_there": ["more.txt"],
        "writes": ["b.txt"],
    }
    nf.write(book, path)
    run_lines()
    assert "02_two: up to date" in run_lines()
    (house / "outputs/t/more.txt").write_text("news")
    assert any("02_two: done" in line for line in run_lines())


def test_a_failure_names_notebook_and_cell_and_keeps_finished_work(house, no_kernels):
    notebook(house, "02_two", ["a.txt"], ["b.txt"], "1 / 0")
    with pytest.raises(UserError, match=r"02_two stopped at cell `work`(.|\n)*ZeroDivisionError"):
        run_lines()
    notebook(house, "02_two", ["a.txt"], ["b.txt"], '(out / "b.txt").write_text("")')
    assert "01_one: up to date" in run_lines()


def test_a_typo_and_a_number_as_text_are_refused_before_anything_runs(house):
    with pytest.raises(UserError, match="Did you mean `size`"):
        run_lines(sets=["sise=2"])
    with pytest.raises(UserError, match="`size` must be int"):
        run_lines(sets=["size=2e-4"])
    assert not (house / "outputs").exists()


def test_a_problem_in_a_notebook_is_told_once_with_its_place(house, no_kernels):
    code = 'from medinstruct.errors import UserError\nraise UserError("The file is bad.", got="x.json", do="Repair it.")'
    notebook(house, "02_two", ["a.txt"], ["b.txt"], code)
    with pytest.raises(UserError) as caught:
        run_lines()
    told = str(caught.value)
    assert (
        told.count("got:") == told.count("do:") == 1
        and "02_two stopped at cell `work`: The file is bad." in told
    )


def command(*arguments, **environment):
    import os
    import subprocess
    import sys

    line = [sys.executable, "-m", "medinstruct", *arguments]
    return subprocess.run(
        line, capture_output=True, text=True, env={**os.environ, **environment}, cwd=paths.root()
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["run", "params/nowhere.yaml"], "does not exist"),
        (["run", "params/demo.yaml", "99"], "no such notebook"),
        (["run", "params/demo.yaml", "--set", "requsts=3"], "Did you mean `requests`"),
        (["run", "params/demo.yaml", "--set", "learning_rate=2e-4"], "Write 2.0e-4"),
        (
            ["run", "params/demo.yaml", "01", "--set", "run=mistake", "seeds=nowhere.json"],
            "01_explore_seeds stopped at cell",
        ),
        (["run", "params/openai.yaml", "01", "02", "--set", "run=mistake"], "OPENAI_API_KEY"),
    ],
)
def test_a_users_mistake_is_one_message_without_a_traceback(arguments, words, tmp_path):
    done = command(*arguments, MEDINSTRUCT_OUTPUTS=str(tmp_path), OPENAI_API_KEY="")
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_the_doctor_never_shows_the_key():
    done = command("doctor", OPENAI_API_KEY="sk-secret-123")
    assert (
        done.returncode == 0
        and "OPENAI_API_KEY is set" in done.stdout
        and "sk-secret" not in done.stdout + done.stderr
    )
    assert "yes  demo" in done.stdout


def test_the_doctor_names_what_keeps_a_profile_from_running_and_what_to_do(monkeypatch):
    import socket

    from medinstruct import params

    demo = params.merged("demo")
    assert doctor.obstacles(demo) == []
    monkeypatch.setattr(doctor, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # which accepts, and says nothing
        there = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        assert doctor.obstacles(demo | {"teacher": f"m@{there}", "judge": f"m@{there}"}) == []
    doctor.served.cache_clear()
    gone = doctor.obstacles(
        demo | {"teacher": f"m@{there}", "judge": f"m@{there}", "seeds": "nowhere.json"}
    )
    assert [what for what, _ in gone] == [
        f"{there} does not answer",
        "seeds cannot be read: nowhere.json",
    ]
    assert gone[0][1].startswith("start the server") and "teacher=… judge=…" in gone[0][1]


def test_the_doctor_finds_a_package_that_is_missing_or_too_old(monkeypatch):
    old = {"pandas": "1.5.3", "openai": ""}
    monkeypatch.setattr(
        doctor,
        "_version",
        lambda name: old[name] if name in old else importlib.metadata.version(name),
    )
    found = doctor.missing_packages()
    shown = {re.split("[<>]", line)[0]: line.partition(": ")[2] for line in found}
    assert shown == {"pandas": "1.5.3", "openai": "not installed"}
    assert any("pip install" in line for line in doctor._packages(found))


def test_outputs_go_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path / "elsewhere"))
    assert paths.outputs("x") == tmp_path / "elsewhere" / "x"
    assert not (tmp_path / "elsewhere").exists()  # asking for a run makes none
    with pytest.raises(UserError, match="plain folder name"):
        paths.outputs("../x")


def test_ctrl_c_keeps_what_is_finished_and_says_so(house):
    import signal
    import subprocess
    import sys
    import time

    import psutil

    started = house / "started"
    notebook(
        house,
        "02_two",
        ["a.txt"],
        ["b.txt"],
        f"import os, time; print(os.getpid(), file=open({str(started)!r}, 'w')); time.sleep(60)",
    )
    code = (
        f"from pathlib import Path; from medinstruct import paths; paths.root = lambda: Path({str(house)!r})\n"
        "import sys; from medinstruct.__main__ import main; sys.exit(main(['run', 'params/p.yaml']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore Ctrl-C
    )
    for _ in range(1200):
        if started.exists() and started.read_text().strip():
            break
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Finished notebooks" in told, told
    assert not (house / "outputs/t/b.txt").exists() and (house / "outputs/t/a.txt").exists()
    assert not psutil.pid_exists(int(started.read_text())), "the kernel has ended"
    assert not list((house / "outputs/t").glob(".02*"))


def test_a_file_that_a_parameter_names_counts_wherever_the_run_is_started(
    house, tmp_path_factory, monkeypatch
):
    (house / "one.csv").write_text("a")
    (house / "two.csv").write_text("b")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    values = {
        "review_merge": ["one.csv", "two.csv"],
        "focus": "nowhere.json",
        "model": "student",
        "judge": "replay:two.csv",
    }
    found = manifest.files_of(values | {"answer_models": {"mine": "one.csv"}})
    assert [path.name for path in found.values()] == ["one.csv", "two.csv", "two.csv", "one.csv"]
    assert {path.parent for path in found.values()} == {house}


def test_a_kernel_that_dies_is_one_message_with_the_cell_and_the_kernels_last_words(house):
    code = "import os\nos.write(2, b'Fatal: no memory left\\n')\nos._exit(9)"
    notebook(house, "02_two", ["a.txt"], ["b.txt"], code)
    with pytest.raises(UserError, match="02_two stopped at cell `work`: its kernel died") as caught:
        run_lines()
    assert not list((house / "outputs" / "t").glob(".02*"))
    log = house / "outputs/t/error.log"
    assert f"The log is {log}" in str(caught.value) and "DeadKernelError" in log.read_text()


@pytest.mark.parametrize(
    "kernel",
    [
        {"argv": ["/nowhere/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]},
        {"argv": ["/bin/false"]},
        {"argv": []},
        "no JSON",
    ],
)
def test_the_notebooks_run_with_the_python_of_the_command_whatever_kernel_files_there_are(
    kernel, house, monkeypatch, tmp_path
):
    import json

    file = tmp_path / "jupyter/kernels/python3/kernel.json"
    file.parent.mkdir(parents=True)
    shared = {"display_name": "Python of another", "language": "python"}
    file.write_text(kernel if isinstance(kernel, str) else json.dumps(kernel | shared))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    manager = runner.own_kernel(tmp_path)(kernel_name="python3")
    assert manager.format_kernel_cmd()[0] == sys.executable
    if kernel != "no JSON":
        return  # one kernel is enough
    for name in ("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, "/proc/nowhere")  # which cannot be made
    for name in runner.HIDDEN:  # as in a shell of Colab
        monkeypatch.setenv(name, "colab")
    words = f"sys.prefix, sorted({runner.HIDDEN} & os.environ.keys())"
    code = f"import os, sys\n(out / 'a.txt').write_text(str(({words})))"
    notebook(house, "01_one", [], ["a.txt"], code)
    run_lines(only=["01"])
    assert (house / "outputs/t/a.txt").read_text() == str((sys.prefix, []))


def test_two_commands_on_one_run_do_not_meet(house, monkeypatch):
    """Each has its own draft and its own sockets, which are files and no ports."""
    import subprocess

    monkeypatch.setenv("MEDINSTRUCT_HOME", str(house))
    notebook(house, "01_one", [], ["a.txt"], "(out / 'a.txt').write_text('a')")
    manager = runner.own_kernel(house)(kernel_name="python3")
    assert manager.transport == ("ipc" if len(str(house)) < 80 else "tcp")
    command = [sys.executable, "-m", "medinstruct", "run", "params/p.yaml", "01", "--force"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(p.communicate(timeout=120)[1][-300:], p.returncode) for p in both]
    assert [code for _, code in ended] == [0, 0], ended
    assert not list((house / "outputs/t").glob("*_failed.ipynb"))


@pytest.mark.parametrize(
    "script, words",
    [
        ("#!/bin/sh\necho No module named ipykernel >&2; exit 1\n", "No module named ipykernel"),
        ("", "Exec format|Permission denied"),
        (None, "No such file"),
    ],
)
def test_a_kernel_that_cannot_start_is_one_message_with_a_log(
    script, words, house, monkeypatch, capsys
):
    python = house / "python"
    if script is not None:
        python.write_text(script)
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert cli.main(["run", "params/p.yaml", "01"]) == 2
    error = capsys.readouterr().err
    assert "01_one stopped: no cell has run" in error and "Traceback" not in error
    assert re.search(words, error) and str(house / "outputs/t/error.log") in error
    assert "Traceback" in (house / "outputs/t/error.log").read_text()


@pytest.mark.parametrize("number", ["011", "9", "1x"])
def test_only_a_notebook_that_is_there_is_chosen(house, number):
    with pytest.raises(UserError, match="no such notebook"):
        run_lines(only=[number])


def test_a_notebook_is_chosen_by_its_number_or_its_name(house, no_kernels):
    assert [line.partition(":")[0] for line in run_lines(only=["1", "01_one"])] == ["01_one"]


def test_a_stand_in_with_other_rates_is_no_address_and_a_bad_address_is_no_crash():
    from medinstruct import params

    assert doctor.obstacles(params.merged("demo") | {"teacher": "offline?refusal=0.2"}) == []
    assert len(doctor.obstacles(params.merged("demo") | {"teacher": "m@http://[half"})) == 1


def test_the_doctor_looks_for_every_benchmark_file():
    from medinstruct import params

    gone = doctor.obstacles(
        params.merged("demo") | {"review_merge": ["params/demo.yaml", "nowhere.csv"]}
    )
    assert [what for what, _ in gone] == ["review_merge cannot be read: nowhere.csv"]


def test_new_votes_make_a_notebook_stale_and_an_empty_database_does_not(tmp_path):
    from medinstruct import review

    file = tmp_path / "reviews.sqlite"
    assert manifest.of_path(file) == ""
    store = review.Store(file)
    assert manifest.of_path(file) == ""
    store.cast("a nurse", kind="dataset", item="a", hash="h", action="accept")
    first = manifest.of_path(file)
    store.cast("a doctor", kind="dataset", item="a", hash="h", action="accept")
    assert "" != first != manifest.of_path(file)


def test_a_run_that_a_parameter_names_counts_though_it_keeps_a_cache_of_answers(tmp_path):
    from medinstruct.llm import Cache

    (tmp_path / "tasks.jsonl").write_text("{}")
    before = manifest.of_path(tmp_path)
    Cache(tmp_path / "answers.sqlite").close()
    (tmp_path / "tasks.jsonl").write_text("{} {}")
    assert manifest.of_path(tmp_path) not in ("", before)


def test_two_runs_of_the_same_leave_the_same_file():
    def book(address):
        output = nf.v4.new_output(
            "execute_result",
            data={"text/plain": f"<pandas.Styler at {address}>"},
            execution_count=1,
        )
        cell = nf.v4.new_code_cell(
            "1",
            outputs=[output],
            id="shown",
            metadata={"execution": {"iopub.status.busy": address}},
        )
        return runner.cleaned(
            nf.v4.new_notebook(cells=[cell], metadata={"papermill": {"start_time": address}})
        )

    assert book("0x7f9c12ff3350") == book("0x7fd412f58cd0") and "pandas.Styler>" in str(book("0x1"))


def test_a_change_anywhere_in_the_package_makes_a_notebook_stale(house, monkeypatch):
    def current():
        return manifest.begin("01_one", {"run": "t"}).parts["package"]

    library = house / "library"
    library.mkdir()
    monkeypatch.setattr(paths, "PACKAGE", library)
    hashes = []
    for name, text in (("llm.py", "1"), ("llm.py", "2"), ("data.yaml", "a: 1"), ("llm.py", "2")):
        (library / name).write_text(text)
        hashes.append(current())
    assert len(set(hashes[:3])) == 3 and hashes[3] == hashes[2]


def test_progress_bars_leave_no_trace_and_a_warning_stays():
    texts = ["\r 50%|##", "\n", "UserWarning: no end token"]
    outputs = [nf.v4.new_output("stream", name="stderr", text=text) for text in texts]
    book = nf.v4.new_notebook(cells=[nf.v4.new_code_cell("1", outputs=outputs)])
    assert [output.text for output in runner.cleaned(book).cells[0].outputs] == texts[2:]
