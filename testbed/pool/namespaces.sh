#!/bin/sh
# Stands the hosts of one pool, each in namespaces of its own, and takes all of them away again.
#
#   namespaces.sh supervise DIR TREE       outside: waits for the end, then removes DIR
#   namespaces.sh switch    DIR TREE       init of the pool: holds the bridge and every host
#   namespaces.sh plug      DIR TREE …     on the way into a host: the host's network
#   namespaces.sh host      DIR TREE …     init of one host
#
# The caller holds our stdin open for as long as it wants the pool; when that ends, however it ends, the
# switch ends, and the kernel takes every process, mount, network and bridge of the pool with it.
# DIR holds: hosts (lines "NAME ADDRESS"), mounts (lines "PATH HERE<tab>PATH IN EVERY HOST", read-only there),
# layers/NAME (files that lie over the tree), mnt (empty).
# Prints "switch PID" and "host NAME PID". Up to the hosts' own, /proc is the machine's: /proc/self/stat begins
# with our process id as the machine counts.
set -eu
umask 022

stage=$1 dir=$2 tree=$3
shift 3
tab=$(printf '\t')

# The tree brings its own iproute2: the machine needs none.
ip() { chroot "$tree" ip "$@"; }

supervise() {
  # A handler, not "ignore": children would inherit that, and HTCondor's daemons need their signals.
  trap : HUP INT TERM
  status=0
  unshare --mount --propagation private --net --pid --uts --ipc --fork --kill-child \
    sh "$0" switch "$dir" "$tree" || status=$?
  rm -rf "$dir"
  exit "$status"
}

switch() {
  exec 3<&0 </dev/null
  read -r switch_pid rest </proc/self/stat
  chmod -R a+rX "$dir/layers"
  # All that the hosts write lies in memory, in a mount that ends with us.
  mount -t tmpfs -o mode=755 lark-pool "$dir/mnt"
  mount --bind /proc "$tree/proc" # for ip, which looks up namespaces there
  ip link set lo up
  ip link add pool0 type bridge
  ip link set pool0 up
  echo "switch $switch_pid"
  while read -r name address; do
    unshare --net sh "$0" plug "$dir" "$tree" "$name" "$address" "$switch_pid" 3<&- &
  done <"$dir/hosts"
  cat <&3 >/dev/null &
  wait $!
}

plug() {
  name=$1 address=$2 switch_pid=$3
  switch_net=/proc/$switch_pid/ns/net
  ip link add eth0 type veth peer name "$name" netns "$switch_net"
  nsenter --net="$switch_net" chroot "$tree" ip link set "$name" master pool0 up
  ip address add "$address/24" dev eth0
  ip link set lo up
  ip link set eth0 up
  exec unshare --mount --propagation private --pid --uts --ipc --fork --kill-child \
    sh "$0" host "$dir" "$tree" "$name"
}

host() {
  name=$1
  read -r host_pid rest </proc/self/stat
  here=$dir/mnt/$name
  mkdir -p "$here/upper" "$here/work" "$here/root"
  mount -t overlay "lark-$name" "$here/root" \
    -o "lowerdir=$dir/layers/$name:$tree,upperdir=$here/upper,workdir=$here/work"
  mount -t proc proc "$here/root/proc"
  mount -t tmpfs -o mode=1777 tmpfs "$here/root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$here/root/dev/pts"
  mount -t tmpfs -o mode=755 tmpfs "$here/root/run"
  while IFS=$tab read -r source target; do
    if [ -d "$source" ]; then
      mkdir -p "$here/root$target"
    else
      mkdir -p "$here/root${target%/*}"
      : >"$here/root$target"
    fi
    mount --bind "$source" "$here/root$target"
    mount -o remount,bind,ro "$here/root$target"
  done <"$dir/mounts"
  hostname "$name"
  cd "$here/root"
  pivot_root . mnt
  cd /
  umount -l /mnt
  install -d -o condor -g condor /run/condor /run/lock/condor
  echo "host $name $host_pid"
  exec >/var/log/condor/boot.log 2>&1 </dev/null
  condor_master
  # Stay as init: daemons may come and go, and what they orphan is reaped in this wait.
  sleep infinity &
  wait $!
}

"$stage" "$@"
