# The production image: only Python and the files that run. `fly deploy` builds it on Fly. Elsewhere, build with
# `docker build --build-arg COMMIT=$(git rev-parse HEAD) .` and run with `docker run --read-only --tmpfs /tmp --cap-drop ALL`.
# The digest is that of the tag's multi-platform index. Update it and requirements.txt when either gets a security fix;
# `docker buildx imagetools inspect python:3.11-slim` prints the current one.
ARG PYTHON=python:3.11-slim@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93

FROM ${PYTHON} AS build
WORKDIR /srv
COPY requirements.txt ./
# No pip in the environment, and wheels only: nothing is compiled and no setup script runs. web3's test contracts go.
RUN python -m venv --without-pip venv && \
    python -m pip --python venv/bin/python install --require-hashes --no-deps --only-binary=:all: --no-compile \
      --disable-pip-version-check --quiet --root-user-action=ignore -r requirements.txt && \
    find venv/lib -name '*.sol' -delete
COPY LICENSE ./
COPY app.py ./
COPY chain chain
COPY stateless_billing stateless_billing
COPY static static
COPY deployments deployments
ARG COMMIT=unknown
RUN echo "${COMMIT}" > stateless_billing/COMMIT
# Unchecked hashes: bytecode is never compared with the source or rewritten, so a read-only file system is enough.
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
# Numeric, so that an orchestrator can verify it is not root. The user owns nothing and can write nowhere.
USER 10001:10001
EXPOSE 8000 9090
STOPSIGNAL SIGTERM
# For `serve`. A container that only sweeps has no HTTP port: start it with --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "stateless_billing", "serve"]
