# The production image: one static binary and a data directory, nothing else.
# Build the binary first, so that no compiler image is needed (docker/build.sh):
#   CGO_ENABLED=0 go build -trimpath -o docker/node ./node
#   docker build -t zoolab/node -f docker/node.Dockerfile docker
FROM scratch
COPY node /node
# An empty directory owned by the server's user: a fresh named volume that is
# mounted here takes over its ownership, so no root is needed at run time.
COPY --chown=10001:10001 data /data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 2181 2888 3888
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/node", "status", "-q", "127.0.0.1:2181"]
ENTRYPOINT ["/node"]
CMD ["serve", "/conf/zoo.cfg"]
