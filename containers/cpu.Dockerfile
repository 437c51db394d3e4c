# JupyterLab with the notebooks and everything that the demo needs, for a CPU: see docs/containers.md.
FROM python:3.12.12-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 reader \
 && install -d -o reader -g reader /home/reader/medinstruct

USER 1000:1000
WORKDIR /home/reader/medinstruct
ENV PATH="/home/reader/medinstruct/.venv/bin:$PATH" PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1

# The lock first: a change of the notebooks does not install everything again.
COPY --chown=reader:reader pyproject.toml requirements.lock Makefile README.md LICENSE ./
COPY --chown=reader:reader lib ./lib
RUN make .venv/ready

COPY --chown=reader:reader . .
RUN touch .venv/ready

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--ServerApp.root_dir=notebooks"]
