# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src ./src
RUN cargo build --release --locked --bin costband

FROM debian:bookworm-slim
# Every client takes its roots from here, or from SSL_CERT_FILE.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 /var/lib/costband
COPY --from=build /build/target/release/costband /usr/local/bin/costband
LABEL org.opencontainers.image.title="costband" \
      org.opencontainers.image.description="Keeps the cloud spend of a GPU fleet inside its monthly band" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
WORKDIR /var/lib/costband
EXPOSE 9750
ENTRYPOINT ["/usr/local/bin/costband"]
CMD ["run", "-c", "/etc/costband/costband.yaml"]
