# syntax=docker/dockerfile:1.7
# The images perijove-gateway and perijove-ingest:
#   docker build --target gateway --tag perijove-gateway:0.1.0 .
#   docker build --target ingest  --tag perijove-ingest:0.1.0 .
# Pin both bases by digest in a pipeline: --build-arg RUST_IMAGE=rust@sha256:…
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake pkg-config libssl-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Sources and dependencies are kept between builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p perijove-gateway -p perijove-ingest --bins \
    && mkdir /out && cp target/release/perijove-gateway target/release/perijove-ingest /out/
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# What ingest is linked with beyond what the runtime image has.
RUN mkdir /libraries && ldd /out/perijove-ingest | awk '/lib(ssl|crypto|z|zstd)\./ { print $3 }' | xargs -r -I{} cp -L {} /libraries/

FROM ${RUNTIME_IMAGE} AS gateway
LABEL org.opencontainers.image.title=perijove-gateway org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /out/perijove-gateway /usr/local/bin/perijove-gateway
USER 65532:65532
EXPOSE 8899 8900 9090
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/perijove-gateway", "health"]
ENTRYPOINT ["/usr/local/bin/perijove-gateway"]
CMD ["run", "--config", "/etc/perijove/gateway.yaml"]

FROM ${RUNTIME_IMAGE} AS ingest
LABEL org.opencontainers.image.title=perijove-ingest org.opencontainers.image.licenses=Apache-2.0
ENV LD_LIBRARY_PATH=/usr/local/lib/perijove
COPY --from=build /libraries/ /usr/local/lib/perijove/
COPY --from=build /out/perijove-ingest /usr/local/bin/perijove-ingest
USER 65532:65532
EXPOSE 9091
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/perijove-ingest", "health"]
ENTRYPOINT ["/usr/local/bin/perijove-ingest"]
CMD ["run", "--config", "/etc/perijove/ingest.yaml"]
