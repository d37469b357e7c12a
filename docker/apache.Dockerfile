# Apache ZooKeeper from Debian, for the lab to test in the server's place: it
# takes its configuration and id as the node image does.
#   docker build -t zoolab/apache -f docker/apache.Dockerfile docker
#   go run ./lab -image zoolab/apache
FROM debian:bookworm-slim
RUN apt-get update \
 && mkdir -p /usr/share/man/man1 \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends zookeeper openjdk-17-jre-headless libslf4j-java \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc/* \
 && mkdir /data && chown 10001:10001 /data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 2181 2888 3888
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "-c", "echo \"$ZOO_MY_ID\" > /data/myid && exec java -Xmx256m -XX:-UsePerfData -Dzookeeper.admin.enableServer=false -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=\"'time='yyyy-MM-dd'T'HH:mm:ss.SSSXXX\" -cp /usr/share/java/zookeeper.jar:/usr/share/java/zookeeper-jute.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-simple.jar org.apache.zookeeper.server.quorum.QuorumPeerMain \"$@\"", "zookeeper"]
CMD ["/conf/zoo.cfg"]
