# syntax=docker/dockerfile:1
# docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION=$(git rev-parse HEAD) -t costband .
# A smaller one for node agents and sidecars: --build-arg FEATURES=nvml
ARG DEBIAN=bookworm

# Compiles on the builder's own machine, for whichever platform is asked for.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-${DEBIAN} AS build
ARG TARGETARCH
WORKDIR /build
# Debian's and Rust's names of the platform.
RUN set -eu; \
    case "$TARGETARCH" in \
      amd64) gnu=x86_64-linux-gnu rust=x86_64-unknown-linux-gnu ;; \
      arm64) gnu=aarch64-linux-gnu rust=aarch64-unknown-linux-gnu ;; \
      *) echo "want the platform linux/amd64 or linux/arm64, found '$TARGETARCH'" >&2; exit 1 ;; \
    esac; \
    if [ "$(dpkg --print-architecture)" = "$TARGETARCH" ]; then \
      compiler="gcc libc6-dev"; \
    else \
      compiler="gcc libc6-dev gcc-$(echo "$gnu" | tr _ -) libc6-dev-$TARGETARCH-cross"; \
    fi; \
    apt-get update; \
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $compiler; \
    rm -rf /var/lib/apt/lists/*; \
    rustup target add "$rust"; \
    mkdir -p .cargo; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s-gcc"\n' "$rust" "$rust" "$gnu" >.cargo/config.toml; \
    ln -s "target/$rust" built
# The program's features; without any, those that Cargo.toml has by default.
ARG FEATURES=
# Dependencies first, in a layer that changes of the program leave alone.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs \
    && cargo build --release --locked --bin costband ${FEATURES:+--no-default-features --features "$FEATURES"} \
    && rm -r src
COPY src ./src
# What was built of the empty program is older than this, whatever the files' own times are.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin costband ${FEATURES:+--no-default-features --features "$FEATURES"}

# On the platform that was asked for, so that the program proves that it starts there.
FROM debian:${DEBIAN}-slim AS root
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgcc-s1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/built/release/costband /costband
COPY scripts/image-root /image-root
RUN /image-root /costband /image && chroot --userspec=65532:65532 /image /usr/local/bin/costband --version

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
ARG CREATED=
LABEL org.opencontainers.image.title="costband" \
      org.opencontainers.image.description="Keeps the cloud spend of a GPU fleet inside its monthly band" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=root /image/ /
# The ledger's folder, where no volume is mounted.
COPY --from=root --chown=65532:65532 /image/var/lib/costband /var/lib/costband
# Without it glibc keeps what each thread has freed in an arena of its own: half as much memory again.
ENV PATH=/usr/local/bin MALLOC_ARENA_MAX=1
USER 65532:65532
WORKDIR /var/lib/costband
EXPOSE 9750
ENTRYPOINT ["/usr/local/bin/costband"]
CMD ["run", "-c", "/etc/costband/costband.yaml"]
