#!/bin/sh
# Makes sure that the image debian:bookworm-slim exists on the container engine.
# Tries, in this order: the image is there already; a pull; debootstrap from a
# Debian mirror (about 30 s, needs root), imported under the same name. So the
# sidecar image can be built where no image registry can be reached.
#
# Usage: docker/base.sh
#   DEBIAN_MIRROR  mirror for debootstrap (default http://deb.debian.org/debian)
#   BASE_IMAGE     name of the image      (default debian:bookworm-slim)
set -eu

image=${BASE_IMAGE:-debian:bookworm-slim}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
suite=bookworm

say() { printf 'base.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v docker >/dev/null 2>&1 || die "no docker command found; install docker.io or docker-ce first"
docker version >/dev/null 2>&1 || die "the container engine does not answer (try: docker version)"

if docker image inspect "$image" >/dev/null 2>&1; then
	say "$image is there already"
	exit 0
fi

say "pulling $image"
if timeout 180 docker pull "$image" >/dev/null 2>&1; then
	say "pulled $image"
	exit 0
fi

[ "$(id -u)" = 0 ] || die "$image could not be pulled, and making it with debootstrap needs root: run this script with sudo"
say "the pull failed; making $image with debootstrap from $mirror (about 30 s)"

if ! command -v debootstrap >/dev/null 2>&1; then
	command -v apt-get >/dev/null 2>&1 || die "debootstrap is missing and there is no apt-get to install it; install debootstrap by hand"
	say "installing debootstrap"
	install() { apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 install -y --no-install-recommends debootstrap >/dev/null 2>&1; }
	install || { apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >/dev/null 2>&1 && install; } ||
		die "debootstrap could not be installed; try: apt-get update && apt-get install debootstrap"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

tries=3 # a download may fail that would not a moment later
until debootstrap --variant=minbase "$suite" "$work/root" "$mirror" >"$work/log" 2>&1; do
	tries=$((tries - 1))
	if [ $tries = 0 ]; then
		tail -n 20 "$work/log" >&2
		die "debootstrap failed, its last lines are above; is $mirror reachable? (set DEBIAN_MIRROR)"
	fi
	say "debootstrap failed; trying again"
	rm -rf "$work/root"
	sleep 5
done

# What the slim images leave out: package archives and lists, manuals, locales.
root=$work/root
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
	"$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* \
	"$root"/usr/share/info/*
printf '%s\n' 'path-exclude /usr/share/doc/*' 'path-exclude /usr/share/man/*' \
	'path-exclude /usr/share/locale/*' >"$root/etc/dpkg/dpkg.cfg.d/slim"

tar -C "$root" --numeric-owner -c . |
	docker import --change 'CMD ["bash"]' --message "debootstrap minbase $suite" - "$image" >/dev/null
say "made $image"
