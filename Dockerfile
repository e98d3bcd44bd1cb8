# Build:    docker build -t dispatch . && docker build --target work -t dispatch-work .
# Migrate:  docker run --rm -e DISPATCH_DATABASE_URL=... dispatch-work dispatch migrate
# Serve:    docker run -p 8000:8000 -e DISPATCH_DATABASE_URL=... -e DISPATCH_SESSION_KEY=... dispatch
# Work:     docker run -e DISPATCH_DATABASE_URL=... -e DISPATCH_SESSION_KEY=... dispatch-work
# The two images differ in what they run: a worker listens nowhere, so only the server is asked for its health.
# The container never migrates by itself: several may start at once, and a rollout decides when the tables change.

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/dispatch
COPY requirements.lock ./
RUN /opt/dispatch/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml LICENSE ./
COPY src ./src
COPY migrations ./migrations
RUN /opt/dispatch/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim AS work
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin dispatch \
    && install -d -o dispatch -g dispatch /srv/dispatch/var /srv/dispatch/var/files
COPY --from=build /opt/dispatch /opt/dispatch
ENV PATH=/opt/dispatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/dispatch
USER 10001
# What people send lies in here, under files/; without DISPATCH_DATABASE_URL the data is one SQLite file beside it.
VOLUME /srv/dispatch/var
CMD ["dispatch", "work"]

FROM work AS serve
ENV DISPATCH_HOST=0.0.0.0 \
    DISPATCH_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['DISPATCH_PORT'] + '/v1/healthz', timeout=2)"]
CMD ["dispatch", "serve"]
