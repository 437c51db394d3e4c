"""Serve a GGUF file by llama.cpp's own HTTP server: python llama_server.py FILE PORT."""

import sys
import threading


def serve(file, port):
    """Serve until the process is ended; the port answers while the file is still loaded."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.port = file, port
    settings.n_ctx, settings.n_parallel = 4096, 1
    server = xllamacpp.Server(settings)  # noqa: F841, alive as long as it is referred to
    threading.Event().wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
