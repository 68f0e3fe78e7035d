# syntax=docker/dockerfile:1
# The server alone: its database is elsewhere (compose.yaml has one), so DATABASE_URL must be set.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# The dependencies first, with a stand-in for the code: this layer is rebuilt only when Cargo.toml or Cargo.lock change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/server && echo 'fn main() {}' | tee src/main.rs > benches/server/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -r src benches
COPY . .
# The stand-in is newer than the code that was just copied.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin frontdesk

FROM debian:bookworm-slim
# The certificates that a database reached over TLS is checked against.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 frontdesk \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin frontdesk
COPY --from=build /build/target/release/frontdesk /usr/local/bin/frontdesk
USER 10001:10001
# Inside a container all addresses are the container's own: which of them others reach is said where it is run. A reverse proxy in
# front speaks TLS; for TLS in the server itself set FRONTDESK_TLS_CERTIFICATE and FRONTDESK_TLS_KEY.
ENV FRONTDESK_LISTEN=0.0.0.0:8080 FRONTDESK_INSECURE_HTTP=true
EXPOSE 8080
# The image has no curl: the program asks itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/frontdesk", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/frontdesk"]
CMD ["serve"]
