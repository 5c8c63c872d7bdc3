# The image of proxy, manager and init container. The same files as `npm run image` puts into an archive without a
# container engine; build/image/dockerfile.test.ts holds both to each other.
#
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# BUILDER  where Node, the C library and iptables come from: any Debian with Node 24.
# BASE     what the files are laid upon: nothing, or an image of the builder's Debian release (for a shell to look around).
# SOURCE   tree: build here. local: take what `node build/image/main.ts --root dist/image` has written; needs no network.
ARG BUILDER=docker.io/library/node:24-bookworm-slim
ARG BASE=scratch
ARG SOURCE=tree

FROM ${BUILDER} AS tree
RUN apt-get update && apt-get install --yes --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN node build/image/main.ts --root /image

FROM scratch AS local
COPY dist/image /image

FROM ${SOURCE} AS source

FROM ${BASE}
COPY --from=source /image /
ENV PATH=/usr/sbin:/usr/bin GLIBC_TUNABLES=glibc.malloc.mmap_threshold=32768:glibc.malloc.top_pad=0
USER 1359:1359
WORKDIR /
ENTRYPOINT ["/usr/bin/node", "--max-semi-space-size=1", "/usr/lib/ctrlmesh/proxy.cjs"]
