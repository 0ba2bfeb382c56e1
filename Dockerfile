# The server as an image, for a GPU unless DEVICE=cpu; docker-compose.yml builds and runs it.
#
# Release 26.05 has Python 3.12, which the pinned packages support, ONNX Runtime 1.24.4, which
# reads the exported models (opset 18, IR version 10), TensorRT 10, and CUDA 13 as PyTorch's own
# wheels do: the driver has to be 580 or newer. Releases before 25.07 have known ways to run code
# from outside through the Python backend.
ARG TRITON=26.05-py3

FROM nvcr.io/nvidia/tritonserver:${TRITON} AS build
# Read by pip where it is given. An index with PyTorch's wheels for the CPU makes the image for the
# CPU smaller by gigabytes.
ARG PIP_EXTRA_INDEX_URL
WORKDIR /source
# Without pip inside: the image lacks the package that would put it there.
RUN python3 -m venv --without-pip /opt/photoreal
COPY pyproject.toml setup.py constraints.txt README.md LICENSE LICENSE-weights.md ./
COPY src src
COPY preprocess preprocess
COPY export export
COPY serve serve
COPY client client
COPY examples/photos examples/photos
COPY examples/rendered examples/rendered
COPY model_repository model_repository
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/photoreal/bin/python install -c constraints.txt '.[runtime]'

# The export compares every model with its network, and needs no GPU.
FROM build AS export
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip --python /opt/photoreal/bin/python install -c constraints.txt '.[export]'
ARG DEVICE=cuda
ARG ACCELERATOR=cuda
ARG PRECISION=fp32
ARG WEIGHTS=builtin
RUN /opt/photoreal/bin/photoreal export --repository /models --device "${DEVICE}" \
    --accelerator "${ACCELERATOR}" --precision "${PRECISION}" --weights "${WEIGHTS}"

FROM nvcr.io/nvidia/tritonserver:${TRITON}
COPY --from=build /opt/photoreal /opt/photoreal
COPY --from=export /models /models
# Triton's Python backend finds the packages through PATH. CUDA keeps what it compiles at HOME.
ENV PATH=/opt/photoreal/bin:${PATH} \
    PHOTOREAL_TRITON=/opt/tritonserver \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
# Ends the build with a sentence where Triton's Python is another one or a backend is missing.
RUN photoreal serve --repository /models --print-command \
    && install -d -o 1000 -g 1000 /var/cache/photoreal/engines
USER 1000:1000
WORKDIR /
EXPOSE 8000 8001 8002 8003
# Asks the supervisor, which tries the server with real inferences and knows a busy one from one
# that hangs: Triton's own health stays good when a model has died. Loading models takes up to
# minutes, and TensorRT builds its engines at the first start.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20m --retries=3 \
    CMD ["photoreal", "health", "--quick"]
# The image's own entry point stays: it says when the driver is too old.
CMD ["photoreal", "serve", "--repository", "/models", "--host", "0.0.0.0", \
     "--start-timeout", "1200"]
