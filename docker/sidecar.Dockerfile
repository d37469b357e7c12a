# The network sidecar: owns a member's network namespace (address, published
# port, iptables rules) while the node that joined it is killed and restarted.
# It also mounts the member's data volume. Run it with NET_ADMIN and --init.
#   docker/base.sh   (only where debian:bookworm-slim can't be pulled)
#   docker build -t zoolab/sidecar -f docker/sidecar.Dockerfile docker
FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iptables iproute2 procps \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* \
 && mkdir /data && chown 10001:10001 /data
STOPSIGNAL SIGTERM
# The init of the container engine (init: true) is process 1 and passes SIGTERM on.
ENTRYPOINT ["sleep"]
CMD ["infinity"]
