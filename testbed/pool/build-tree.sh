#!/bin/sh
# Builds one root tree: a Debian release with HTCondor, Python and iproute2 in it.
#
#   build-tree.sh host  FINAL BUILDING RELEASE MIRROR   on the machine, under the caller's lock
#   build-tree.sh inner FINAL BUILDING RELEASE MIRROR   as init of a pid and mount namespace of its own
#
# Environment: LARK_APT_CONF, apt settings for the build (proxy, certificates, …), may be empty;
#              LARK_CA_BUNDLE, a certificate bundle to trust while building, may be empty.
# Lines that begin with "lark: " are progress for people; all else is for the log.
# The text of this file is the recipe: any change to it gives the tree another name, and so a rebuild.
set -eu

stage=$1 final=$2 building=$3 release=$4 mirror=$5
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { echo "lark: $*"; }

# Another process may hold apt's lock on the package lists, and apt does not wait for that one.
install_on_host() {
  for attempt in 1 2 3 4 5; do
    if apt-get update && apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; then
      return 0
    fi
    sleep 3
  done
  return 1
}

host_stage() {
  if [ -e "$final" ]; then
    exit 0 # whoever held the lock before us built it
  fi
  if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null || {
      say "debootstrap is missing and this machine has no apt-get to install it"
      exit 1
    }
    say "installing the Debian package debootstrap on this machine"
    install_on_host debootstrap debian-archive-keyring
  fi
  rm -rf "$building"
  mkdir -p "$building"
  # In namespaces of its own, so that whatever ends the build ends all of it and unmounts what it mounted.
  exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    sh "$0" inner "$final" "$building" "$release" "$mirror"
}

build() {
  say "fetching and unpacking Debian $release from ${mirror:-debootstrap's own mirror}"
  debootstrap --variant=minbase --include=ca-certificates,iproute2,procps,python3 \
    "$release" "$building" ${mirror:+"$mirror"}

  # Services must not start while packages are installed.
  printf '#!/bin/sh\nexit 101\n' >"$building/usr/sbin/policy-rc.d"
  chmod 755 "$building/usr/sbin/policy-rc.d"
  # Names resolve, and files are fetched, as on this machine.
  cp /etc/hosts /etc/resolv.conf "$building/etc/"
  printf '%s\n' "$LARK_APT_CONF" >"$building/etc/apt/apt.conf.d/90lark-build"
  if [ -n "$LARK_CA_BUNDLE" ]; then
    cp "$LARK_CA_BUNDLE" "$building/etc/ssl/certs/ca-certificates.crt"
  fi

  say "installing HTCondor"
  mount -t proc proc "$building/proc"
  chroot "$building" apt-get update
  # iperf3 measures the links between hosts; nft is for the networks of jobs; ssh is for condor_ssh_to_job.
  chroot "$building" apt-get install -y --no-install-recommends \
    condor iperf3 nftables openssh-client openssh-server
  if chroot "$building" apt-cache show apptainer >/dev/null 2>&1; then
    say "installing Apptainer, which this release has"
    chroot "$building" apt-get install -y --no-install-recommends apptainer
  fi

  say "checking the tree"
  # Jobs run as this user, on access points and execution points alike; HTCondor refuses jobs of root.
  chroot "$building" useradd --create-home --shell /bin/sh lark
  for folder in /var/lib/condor/execute /var/lib/condor/spool /var/log/condor; do
    chroot "$building" install -d -o condor -g condor -m 755 "$folder"
  done
  chroot "$building" condor_version
  chroot "$building" python3 -c 'import classad2, htcondor2' ||
    chroot "$building" python3 -c 'import classad, htcondor2'
  umount "$building/proc"

  # The hosts of a pool know each other from /etc/hosts alone; nothing of this machine stays in the tree.
  sed -i 's/^hosts:.*/hosts: files/' "$building/etc/nsswitch.conf"
  : >"$building/etc/resolv.conf"
  rm -f "$building/etc/hosts" "$building/etc/hostname" "$building/etc/apt/apt.conf.d/90lark-build"
  rm -rf "$building"/var/cache/apt/* "$building"/var/lib/apt/lists/*

  sync -f "$building"
  mv "$building" "$final"
}

inner_stage() {
  # The caller holds our stdin open for as long as it wants the tree.
  exec 3<&0
  trap 'exit 143' TERM
  (cat <&3 >/dev/null && kill -TERM $$) &
  build </dev/null &
  wait $!
}

"${stage}_stage"
