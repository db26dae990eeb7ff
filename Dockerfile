# The one image of all services; docker-compose.yml says which command each of them runs. EXTRAS are names of locks
# in requirements/, with commas between: `workers` for runs on several machines, `kubernetes` for Dagster's Helm chart.
FROM python:3.11-slim AS build
ARG EXTRAS=""
WORKDIR /app
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# What the project needs changes seldom: with only these files here, the next build takes it from the cache.
COPY requirements requirements
RUN for lock in install run $(echo "$EXTRAS" | tr , ' '); do \
        pip install --no-cache-dir --no-deps --require-hashes --requirement "requirements/$lock.txt" || exit 1; \
    done
COPY setup.py pyproject.toml ./
RUN mkdir market_pipeline && touch market_pipeline/__init__.py \
    && pip install --no-cache-dir --no-deps --no-build-isolation --editable .

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
