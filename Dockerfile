# The demo on a CPU:   docker build -t midway . && docker run --rm -v "$PWD/runs:/work/runs" midway
# Not built by its authors: the machine on which midway is written has no Docker. The CI workflow builds it.
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
COPY recipes recipes
RUN pip install --no-cache-dir -c constraints.txt '.[train,openai]'
# Programs are judged under limits where the container forbids namespaces; --security-opt seccomp=unconfined gives the full sandbox.
RUN useradd --create-home midway && mkdir -p /work/runs && chown -R midway /work
USER midway
WORKDIR /work
VOLUME /work/runs
CMD ["midway", "demo"]
