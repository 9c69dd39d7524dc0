# One image; web, worker and timer differ by their command (see compose.yaml).
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 \
    VAR_DIR=/data STATIC_ROOT=/srv/static NUMBA_CACHE_DIR=/usr/local/share/numba-cache

WORKDIR /srv/evalserver
# The package's metadata first: the layer with the dependencies is then kept until they change.
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN mkdir axonem_eval evalserver \
    && touch axonem_eval/__init__.py evalserver/__init__.py \
    && pip install --constraint requirements.lock '.[server,groundtruth,s3]' \
    && pip uninstall --yes axonem \
    && rm -rf build

COPY axonem_eval axonem_eval
COPY evalserver evalserver
COPY templates templates
COPY docs docs
COPY manage.py CHANGELOG.md ./
# Commands of participants and of the baselines, which the image does not have, go again.
RUN pip install --no-deps --editable . \
    && rm -f "$(dirname "$(command -v python)")"/baselines "$(dirname "$(command -v python)")"/axonem \
    && useradd --create-home --uid 1000 server \
    && mkdir -p /data /srv/static /usr/local/share/numba-cache \
    && VAR_DIR=/tmp/build python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /tmp/build \
    && chown -R server /data /usr/local/share/numba-cache /srv/static

ARG CODE_VERSION=""
ENV CODE_VERSION=${CODE_VERSION}
USER server
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "-c", "python:evalserver.front.gunicorn_config", "evalserver.asgi", "--bind", "0.0.0.0:8000"]
