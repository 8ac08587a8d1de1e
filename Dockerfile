# The engine alone. Its database, Redis and Kafka are given by the environment, so the optional packages
# (Postgres binaries of every platform among them) stay out.
FROM oven/bun:1.4.5-slim AS dependencies
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
COPY patches ./patches
RUN bun install --frozen-lockfile --production --omit=optional

FROM oven/bun:1.4.5-slim
WORKDIR /app
# The collector looks through the whole heap sooner: 30 MB less under load, for no CPU that could be seen.
ENV NODE_ENV=production \
    NODE_NO_WARNINGS=1 \
    BUN_JSC_minEdenToOldGenerationRatio=0.6 \
    DATA_DIR=/var/lib/sentinel
# The one folder that it writes in: what must be given back after a crash is noted there, so it wants a volume.
RUN install -d -o bun -g bun -m 0700 /var/lib/sentinel
VOLUME /var/lib/sentinel
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json bun.lock bunfig.toml ./
COPY drizzle ./drizzle
COPY workers ./workers
COPY src ./src

# Everything above belongs to root: the process can read its code and change none of it.
USER bun
EXPOSE 8080
STOPSIGNAL SIGTERM
# Live, not ready: an orchestrator restarts what is unhealthy, and a restart does not bring a database back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bun", "-e", "const { ok } = await fetch(`http://127.0.0.1:${process.env.PORT || 8080}/health/live`); process.exit(ok ? 0 : 1)"]
CMD ["bun", "src/main.ts"]
