# The same with CUDA and 4-bit weights, for an NVIDIA GPU (driver 580 or newer): see docs/containers.md.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates gcc git libc6-dev make python3.12 python3.12-dev python3.12-venv \
 && rm -rf /var/lib/apt/lists/* \
 && userdel --remove ubuntu \
 && useradd --create-home --uid 1000 reader \
 && install -d -o reader -g reader /home/reader/medinstruct

USER 1000:1000
WORKDIR /home/reader/medinstruct
ENV PATH="/home/reader/medinstruct/.venv/bin:$PATH" PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1

# While an image is built no GPU is seen, and `make` would take PyTorch for CPUs: so PyTorch comes first, with CUDA.
COPY --chown=reader:reader pyproject.toml requirements.lock Makefile README.md LICENSE ./
COPY --chown=reader:reader lib ./lib
RUN python3.12 -m venv .venv \
 && .venv/bin/pip install --quiet torch==2.13.0 \
 && make .venv/ready \
 && .venv/bin/pip install --quiet "bitsandbytes>=0.50,<0.51"

COPY --chown=reader:reader . .
RUN touch .venv/ready

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--ServerApp.root_dir=notebooks"]
