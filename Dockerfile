# One image for migrations, API and worker: the wheel and what deploy/requirements.lock pins, nothing else.

FROM python:3.13-slim AS build
WORKDIR /build
COPY deploy/requirements.lock deploy/requirements-build.lock ./
RUN python -m venv /opt/agentic \
 && /opt/agentic/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY src src
COPY clients/python/src clients/python/src
RUN /opt/build/bin/hatchling build -t wheel -d dist \
 && /opt/agentic/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.13-slim
COPY --from=build /opt/agentic /opt/agentic
ENV PATH=/opt/agentic/bin:$PATH \
    PROCRASTINATE_APP=tasks.app.app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
CMD ["agentic", "serve", "--host", "0.0.0.0", "--port", "8000"]
