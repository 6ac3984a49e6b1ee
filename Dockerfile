# syntax=docker/dockerfile:1
#
# Two images, each one program on a distroless base: no shell, no package manager, a user without
# rights, nothing that has to be written but /data.
#
#   docker build --target server   -t chat-server .
#   docker build --target operator -t chat-operator .

ARG RUST=1.95
ARG NODE=24
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM node:${NODE}-bookworm-slim AS node

FROM rust:${RUST}-bookworm AS build
# The front end is built by the same `make` as everything else, and needs Node for it.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /src
COPY . .
# What was downloaded and compiled stays for the next build, and out of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/root/.npm \
    --mount=type=cache,target=/src/target \
    make binaries PROFILE=release \
    && mkdir -p /out/data \
    && cp target/release/chat-server target/release/chat-operator /out/

FROM ${BASE} AS base
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.licenses=MIT
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532

FROM base AS operator
LABEL org.opencontainers.image.title=chat-operator \
      org.opencontainers.image.description="Runs chat-server on Kubernetes"
COPY --from=build /out/chat-operator /usr/local/bin/chat-operator
ENTRYPOINT ["/usr/local/bin/chat-operator"]

# The last one is what is built if nobody says which.
FROM base AS server
LABEL org.opencontainers.image.title=chat-server \
      org.opencontainers.image.description="Self-hosted real-time chat: one binary, no database to install"
COPY --from=build /out/chat-server /usr/local/bin/chat-server
# A new volume takes its owner from here; distroless has nothing that could make a folder.
COPY --from=build --chown=65532:65532 /out/data /data
ENV CHAT_SERVER__LISTEN=0.0.0.0:8080 \
    CHAT_SERVER__METRICS__LISTEN=0.0.0.0:9090 \
    CHAT_SERVER__DATA_DIR=/data
VOLUME /data
EXPOSE 8080 9090
# Longer than the check itself takes to give up.
HEALTHCHECK --interval=10s --timeout=10s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/chat-server", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/chat-server"]
