"""A papermill engine that runs cells in this process: a kernel of its own takes a second to start."""

import traceback

import nbformat as nf
from papermill import engines


class InProcess(engines.Engine):
    """Run code cells by `exec`, up to the first that fails; nothing that they show is kept."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **settings):
        """Run the cells; papermill calls it."""
        scope = {}
        for n, cell in enumerate(nb_man.nb.cells):
            if cell.cell_type == "code":
                nb_man.cell_start(cell, n)
                try:
                    exec(compile(cell.source, cell.id, "exec"), scope)
                except Exception as error:
                    words = {"ename": type(error).__name__, "evalue": str(error)}
                    lines = traceback.format_exception(error)
                    cell.outputs = [nf.v4.new_output("error", **words, traceback=lines)]
                    nb_man.cell_exception(cell, n)
                    return
                nb_man.cell_complete(cell, n)


engines.papermill_engines.register("in process", InProcess)
