# Sourced by scripts/lab: what the machine has for its root. On this machine's own architecture that is this machine's
# root, shared read-only; elsewhere a folder of Debian packages of that architecture, with this checkout beside it.
# shellcheck shell=bash disable=SC2154

# Whose programs another architecture runs: its nodejs is new enough.
FOREIGN_SUITE=trixie
FOREIGN_PACKAGES=(base-files base-passwd bash dash hostname coreutils diffutils findutils grep sed mawk util-linux mount procps
  nodejs linux-perf strace tree fuse3 libfuse2t64 psmisc)

is_native() { [ "$(uname -m)" = "${arch/arm64/aarch64}" ]; }

# Sets $root, the folder that the machine has as its root, and $native_modules where npm packages lie that are for it.
prepare_root() {
  root=/ native_modules=''
  is_native && return
  prepare_foreign_root
  prepare_native_modules
}

prepare_foreign_root() {
  local architecture list
  architecture=$(debian_architecture)
  use_apt "$FOREIGN_SUITE" "$architecture"
  update_lists
  list=$(printf '%s\n' "${FOREIGN_PACKAGES[@]}" | cksum | cut -d' ' -f1)
  root=$cache/root/$architecture-$list
  [ -e "$root/complete" ] && return
  rm -rf "${root%/*}/$architecture"-* && mkdir -p "$root" "$cache/deb/$architecture/partial"
  step "fetching $architecture programs of Debian $FOREIGN_SUITE"
  download "$cache/deb/$architecture" "${FOREIGN_PACKAGES[@]}"
  step 'unpacking them'
  # First the links from /bin and /lib to /usr.
  dpkg-deb -x "$cache/deb/$architecture"/base-files_*.deb "$root"
  local deb
  for deb in "$cache/deb/$architecture"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
  done
  rm -r "$cache/deb/$architecture"
  # What the packages' own scripts would have made.
  cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
  ln -sf mawk "$root/usr/bin/awk"
  ln -sf dash "$root/usr/bin/sh"
  mkdir -p "$root"/{proc,sys,dev,run,tmp,lab}
  : > "$root/complete"
}

# Packages of npm that hold machine code: the same version as installed here, for the other architecture.
prepare_native_modules() {
  local version installed=$repo/node_modules/koffi/package.json
  [ -e "$installed" ] || { step 'no npm packages are installed: ./scripts/start installs them'; return; }
  version=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).version' "$installed")
  native_modules=$cache/npm/koffi-linux-$arch-$version
  [ -d "$native_modules" ] && return
  step "fetching koffi $version for $arch"
  mkdir -p "$work/npm" "$cache/npm"
  (cd "$work/npm" && npm pack --silent "@koromix/koffi-linux-$arch@$version" > /dev/null && tar -xzf ./*.tgz) ||
    die "cannot fetch @koromix/koffi-linux-$arch@$version from the npm registry"
  mv "$work/npm/package" "$native_modules"
}
