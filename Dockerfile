# One image a process: targets `transceiver`, `relay` and `engine`, for example
#
#   docker build --target relay -t tandem-relay .
#
# The engine is a target of its own because of its models: a relay that talks to another
# Realtime API needs none of them.
#
# Everything is installed as wheels, from the hashed locks: the compiler too, which only
# its stage has. A final layer is one folder, owned by root and never written to; it runs
# as user 10001.

ARG PYTHON_IMAGE=python:3.11-slim

# --- build stages: nothing of them remains but /opt/tandem ---

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS wheels
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
ENV PIP_NO_DEPS=1 PIP_REQUIRE_HASHES=1 PIP_ONLY_BINARY=:all: PIP_QUIET=1

FROM wheels AS build
RUN python3 -m venv --without-pip /opt/tandem
COPY deploy/healthcheck.py /opt/tandem/
COPY requirements/core.txt /tmp/
RUN python3 -m pip --python /opt/tandem/bin/python install --requirement /tmp/core.txt
WORKDIR /opt/tandem/app
COPY runtime runtime
COPY proto proto
COPY codec codec

# Imported only where a collector of traces is set.
FROM build AS traced
COPY requirements/traces.txt /tmp/
RUN python3 -m pip --python /opt/tandem/bin/python install --requirement /tmp/traces.txt

# The hot path's modules in C: an option, left out with a word where this Python has no
# headers. Unless told, zig compiles for the very CPU that it runs on, and a Python of
# Debian's links with a flag that it does not know.
FROM wheels AS compiled
COPY requirements/compile.txt requirements/compiler.txt /tmp/
RUN python3 -m venv --without-pip /opt/compiler \
 && python3 -m pip --python /opt/compiler/bin/python install \
      --requirement /tmp/compile.txt --requirement /tmp/compiler.txt
ENV CC="/opt/compiler/bin/python -m ziglang cc -mcpu=baseline"
WORKDIR /opt/tandem/app
COPY scripts scripts
COPY proto/__init__.py proto/*.pyx proto/*.pxd proto/fields.py proto/
COPY runtime/__init__.py runtime/*.pyx runtime/
COPY transceiver/__init__.py transceiver/*.pyx transceiver/*.pxd transceiver/
RUN LDSHARED="$CC -shared -s" /opt/compiler/bin/python -m scripts.compile

# Of the same image: `python -m transceiver.ingress`, and for Kubernetes
# `python -m deploy.deletion_cost`.
FROM traced AS transceiver-build
COPY transceiver transceiver
COPY --from=compiled /opt/tandem/app/proto proto
COPY --from=compiled /opt/tandem/app/runtime runtime
COPY --from=compiled /opt/tandem/app/transceiver transceiver
COPY deploy deploy
RUN rm deploy/healthcheck.py \
 && ../bin/python -m compileall -q --invalidation-mode unchecked-hash . \
 && for process in transceiver transceiver.ingress deploy.deletion_cost; do \
      ../bin/python -m "$process" --help > /dev/null || exit 1; \
    done

# The locks are those of all services; what only WebRTC needs leaves the relay.
FROM traced AS relay-build
RUN python3 -m pip --python /opt/tandem/bin/python uninstall --yes \
      aioice aiortc dnspython google-crc32c ifaddr pyee pylibsrtp pyopenssl
COPY relay relay
COPY --from=compiled /opt/tandem/app/proto proto
COPY --from=compiled /opt/tandem/app/runtime runtime
RUN rm -r relay/engine \
 && ../bin/python -m compileall -q --invalidation-mode unchecked-hash . \
 && ../bin/python -m relay --help > /dev/null

FROM build AS engine-build
COPY requirements/speech.txt /tmp/
RUN python3 -m pip --python /opt/tandem/bin/python install --requirement /tmp/speech.txt \
 && python3 -m pip --python /opt/tandem/bin/python uninstall --yes \
      aioice aiortc dnspython google-crc32c ifaddr pyee pylibsrtp pyopenssl
COPY relay relay
RUN ../bin/python -m compileall -q --invalidation-mode unchecked-hash . \
 && ../bin/python -m relay.engine --help > /dev/null

# What a new volume starts as that the compose file mounts on /keys: the user's own.
FROM build AS volumes
RUN install -d -m 0700 /volumes/keys

# --- the images ---

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS final
ENV PATH=/opt/tandem/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/tandem/app
USER 10001:10001
STOPSIGNAL SIGTERM

FROM final AS engine
COPY --from=engine-build /opt/tandem /opt/tandem
EXPOSE 8082
HEALTHCHECK --start-period=60s CMD ["python", "../healthcheck.py", "8082", "/healthz"]
ENTRYPOINT ["python", "-m", "relay.engine"]

FROM final AS relay
COPY --from=relay-build /opt/tandem /opt/tandem
COPY --from=volumes --chown=10001:10001 /volumes /
EXPOSE 7000/tcp 7000/udp 8081
HEALTHCHECK --start-period=15s CMD ["python", "../healthcheck.py", "8081", "/healthz"]
ENTRYPOINT ["python", "-m", "relay"]

FROM final AS transceiver
COPY --from=transceiver-build /opt/tandem /opt/tandem
EXPOSE 8080 3478/udp
HEALTHCHECK --start-period=15s CMD ["python", "../healthcheck.py", "8080", "/healthz"]
ENTRYPOINT ["python", "-m", "transceiver"]
