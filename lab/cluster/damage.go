package cluster

import (
	"context"
	"fmt"
	"strings"

	"zoolab/nemesis"
)

// damageScript damages the data in directory $1 as fault $2 says, and prints what
// it did. What is newest is told by the zxids in the names. A log is preallocated:
// its end is behind the last byte that isn't zero.
const damageScript = `
set -e
newest() {
  ls "$1/version-2" | grep "^$2[.]" | awk '{ print length($0), $0 }' | sort -k1,1n -k2,2 | tail -n 1 | cut -d ' ' -f 2
}
damage() {
  name=$(newest "$1" "$2")
  [ -n "$name" ] || { echo "there is no $2 in $1/version-2" >&2; exit 1; }
  file=$1/version-2/$name
  before=$(cksum <"$file")
  end=$(od -An -v -tx1 -w1 "$file" | grep -vn '^ 00$' | tail -n 1 | cut -d : -f 1)
  if [ "$3" = truncated ]; then
    cut=$((end - end / 5 - 1))
    truncate -s "$cut" "$file"
    what="$name ends at $cut, it ended at $end"
  else
    at=$((end * 3 / 4))
    old=$(od -An -tu1 -j "$at" -N 1 "$file")
    printf "\\$(printf %o $((255 - old)))" | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
    what="byte $at of $end in $name is flipped"
  fi
  after=$(cksum <"$file")
  [ "$before" != "$after" ] || { echo "$name is what it was" >&2; exit 1; }
  echo "$what"
}
case $2 in
data-lost)
  count=$(find "$1" -type f | wc -l)
  find "$1" -mindepth 1 -delete
  echo "$count files are gone" ;;
*) damage "$1" "${2%-*}" "${2#*-}" ;;
esac
sync`

// Damage implements nemesis.Damager.
func (d *disks) Damage(ctx context.Context, member, fault string) (string, error) {
	out, err := d.try(ctx, member, damageScript, fault)
	if err != nil {
		return "", fmt.Errorf("damage the data of %s: %w", member, err)
	}
	return strings.TrimSpace(out), nil
}

// Serves implements nemesis.Damager.
func (n *netfilter) Serves(ctx context.Context, member string) bool {
	for _, m := range n.members {
		if m.Name == member {
			answer, err := FourLetter(ctx, m.Client, "srvr")
			mode, _ := parseSrvr(answer)
			return err == nil && mode != ""
		}
	}
	return false
}

// What the drivers offer the nemesis.
var (
	_ nemesis.Changer      = (*dockerCluster)(nil)
	_ nemesis.Changer      = (*localCluster)(nil)
	_ nemesis.Limiter      = (*dockerCluster)(nil)
	_ nemesis.Limiter      = (*localCluster)(nil)
	_ nemesis.Damager      = (*dockerCluster)(nil)
	_ nemesis.Damager      = (*localCluster)(nil)
	_ nemesis.DiskBreaker  = (*dockerCluster)(nil)
	_ nemesis.DiskBreaker  = (*localCluster)(nil)
	_ nemesis.LinkShaper   = (*dockerCluster)(nil)
	_ nemesis.LinkShaper   = (*localCluster)(nil)
	_ nemesis.Reconfigurer = (*dockerCluster)(nil)
	_ nemesis.Reconfigurer = (*localCluster)(nil)
	_ nemesis.Terminator   = (*dockerCluster)(nil)
	_ nemesis.Terminator   = (*localCluster)(nil)
)
