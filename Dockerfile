# `make image-rehearsal` runs these steps without a container engine.

FROM debian:trixie-slim AS base
# This Debian's SQLite can lose commits in rare cases (fixed in 3.51.3), so only that package comes from the next Debian.
RUN printf '%s\n' 'Types: deb' 'URIs: http://deb.debian.org/debian' 'Suites: forky' 'Components: main' \
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' > /etc/apt/sources.list.d/forky.sources \
    && printf '%s\n' 'Package: *' 'Pin: release n=forky' 'Pin-Priority: -1' '' \
        'Package: libsqlite3-0' 'Pin: release n=forky' 'Pin-Priority: 990' > /etc/apt/preferences.d/forky
# hadolint ignore=DL3008  # the release sets the versions
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libsqlite3-0 python3 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements requirements
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/tvarr-backup \
    && /opt/build/bin/pip --python /opt/tvarr-backup/bin/python install --no-cache-dir --no-deps --require-hashes \
        --only-binary :all: -r requirements/image.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/tvarr-backup/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM base
LABEL org.opencontainers.image.title="tvarr-backup" \
      org.opencontainers.image.description="Reliable backups and portable configuration for tvarr." \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/tvarr-backup /opt/tvarr-backup
# tvarr's own image also uses user 1000.
RUN useradd --uid 1000 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin tvarr-backup \
    && install --directory --owner 1000 --group 1000 --mode 0700 /data
ENV PATH="/opt/tvarr-backup/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TVARR_LOGGING_FORMAT=json \
    TVARR_SERVER_HOST=0.0.0.0 \
    TVARR_SERVER_PORT=8081 \
    TVARR_STORAGE_BASE_DIR=/data
USER 1000:1000
WORKDIR /data
RUN ["tvarr-backup", "shell", "--no-imports", "--command", "import sqlite3, tvarr_backup.checks as checks; print('SQLite', sqlite3.sqlite_version); raise SystemExit(checks.has_wal_reset_bug(sqlite3.sqlite_version_info))"]
VOLUME /data
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import http.client, os, sys; asked = http.client.HTTPConnection('127.0.0.1', int(os.environ['TVARR_SERVER_PORT']), timeout=5); asked.request('GET', '/healthz'); sys.exit(asked.getresponse().status != 200)"]
ENTRYPOINT ["tvarr-backup"]
CMD ["up"]
