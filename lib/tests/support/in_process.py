"""A papermill engine that runs cells in this process: a kernel of its own takes seconds to start."""

import ast
import asyncio
import inspect
import traceback

import nbformat as nf
from IPython.core.inputtransformer2 import TransformerManager
from papermill import engines

from medinstruct import plotting
from medinstruct.pipeline import runner


class InProcess(engines.Engine):
    """Run code cells up to the first that fails; nothing that they show is kept."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **settings):
        """Run the cells; papermill calls it."""
        scope, transform = {}, TransformerManager().transform_cell
        with asyncio.Runner() as loop:
            for n, cell in enumerate(nb_man.nb.cells):
                if cell.cell_type == "code":
                    nb_man.cell_start(cell, n)
                    try:
                        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                        code = compile(transform(cell.source), cell.id, "exec", flags=flags)
                        if inspect.iscoroutine(result := eval(code, scope)):  # noqa: S307
                            loop.run(result)
                    except Exception as error:
                        words = {"ename": type(error).__name__, "evalue": str(error)}
                        lines = traceback.format_exception(error)
                        cell.outputs = [nf.v4.new_output("error", **words, traceback=lines)]
                        nb_man.cell_exception(cell, n)
                        return
                    nb_man.cell_complete(cell, n)


engines.papermill_engines.register("in process", InProcess)


def quick_figures(set_attribute=setattr):
    """Draw a figure once, as the SVG of the run: no PNG for the page, no second pass for its frame."""
    from matplotlib.figure import Figure

    save = Figure.savefig
    set_attribute(plotting.display, "_png", lambda figure: b"")
    plain = lambda figure, file, bbox_inches=None, **form: save(figure, file, **form)  # noqa: E731
    set_attribute(Figure, "savefig", plain)


def instead_of_kernels(patch):
    """Let the runner use this engine, and draw figures for files alone, while a MonkeyPatch lasts."""
    quick_figures(patch.setattr)
    patch.setattr(runner, "SETTINGS", runner.SETTINGS | {"engine_name": "in process"})
