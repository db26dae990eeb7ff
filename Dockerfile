# The image of all services; docker-compose.yml has the command of each. EXTRAS: comma-separated names of locks in
# requirements/: `workers` for runs on several machines, `kubernetes` for Dagster's Helm chart.
FROM python:3.11-slim AS build
ARG EXTRAS=""
WORKDIR /app
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# Requirements change rarely: with only these files copied so far, later builds take this layer from the cache.
COPY requirements requirements
RUN for lock in install run $(echo "$EXTRAS" | tr , ' '); do \
        pip install --no-cache-dir --no-deps --require-hashes --requirement "requirements/$lock.txt" || exit 1; \
    done
COPY setup.py pyproject.toml README.md LICENSE ./
COPY market_pipeline/__init__.py market_pipeline/
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home market \
    && install --directory --owner=market /app /var/lib/market-pipeline
COPY --from=build /opt/venv /opt/venv
COPY --chown=market . /app
WORKDIR /app
USER market
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/app \
    MARKET_PIPELINE_DATA_DIR=/var/lib/market-pipeline
CMD ["market-pipeline", "--help"]
