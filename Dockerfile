# Python alone at run time, and only what runs. Fly builds it with `fly deploy`; anybody else with
# `docker build --build-arg COMMIT=$(git rev-parse HEAD) .` and runs it with `docker run --read-only --cap-drop ALL`.
# The digest is of the tag's multi-platform index. Renew it, and requirements.txt, when either has a security fix:
# `docker buildx imagetools inspect python:3.11-slim` prints today's.
ARG PYTHON=python:3.11-slim@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93

FROM ${PYTHON} AS build
WORKDIR /srv
COPY requirements.txt ./
# Without pip in it, and from wheels only: nothing is compiled and no setup script runs. web3's own test contracts go.
RUN python -m venv --without-pip venv && \
    python -m pip --python venv/bin/python install --require-hashes --no-deps --only-binary=:all: --no-compile \
      --disable-pip-version-check --quiet --root-user-action=ignore -r requirements.txt && \
    find venv/lib -name '*.sol' -delete
COPY app.py ./
COPY chain chain
COPY stateless_billing stateless_billing
COPY static static
COPY deployments deployments
# Never compared with the source and never written again: a file system that cannot be written to is enough.
RUN venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash app.py chain stateless_billing venv/lib

FROM ${PYTHON}
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="stateless-billing" \
      org.opencontainers.image.description="Credits a Stripe customer balance exactly once for every LITKEY payment" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${COMMIT}"
ENV PATH=/srv/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0
WORKDIR /srv
COPY --from=build /srv /srv
# By number, so that an orchestrator can tell that it is not root; owns nothing and can write nowhere.
USER 10001:10001
EXPOSE 8000 9090
STOPSIGNAL SIGTERM
# Of `serve`; a container that only sweeps has no port and is started with --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "stateless_billing", "serve"]
