# Sourced by scripts/lab: the kernel's image, its modules, and the initramfs that finds the root.
# shellcheck shell=bash disable=SC2154

# Modules that the machine needs, by name.
needed_modules() {
  echo virtio_pci virtio_console 9pnet_virtio 9p overlay fuse
  [ "$arch" != x86_64 ] || echo kvm_amd kvm_intel msr
}

debian_architecture() { case $arch in x86_64) echo amd64 ;; arm64) echo arm64 ;; esac; }

# The kernel of a suite, unpacked in the cache. Sets $kernel (its folder) and $release (its version).
prepare_kernel() {
  local architecture package
  architecture=$(debian_architecture)
  use_apt "$suite" "$architecture"
  update_lists
  package=$(apt_run apt-cache depends "linux-image-$architecture" | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ && !found { print $2; found = 1 }')
  [ -n "$package" ] || die "Debian $suite has no linux-image-$architecture"
  release=${package#linux-image-}
  kernel=$cache/kernel/$suite-$architecture/$release
  [ -e "$kernel/complete" ] && return
  step "fetching Linux $release of Debian $suite"
  rm -rf "${kernel%/*}" && mkdir -p "$kernel/deb" "$kernel/busybox"
  (cd "$kernel/deb" && apt_run apt-get download "$package" busybox-static) > "$work/apt.log" 2>&1 ||
    die "cannot download $package: $(tail -n 3 "$work/apt.log")"
  step 'unpacking it'
  dpkg-deb -x "$kernel"/deb/linux-image-*.deb "$kernel"
  dpkg-deb -x "$kernel"/deb/busybox-static*.deb "$kernel/busybox"
  rm -r "$kernel/deb"
  mv "$kernel/boot/vmlinuz-$release" "$kernel/vmlinuz"
  mv "$kernel"/busybox/*bin/busybox "$kernel/busybox.static" 2>/dev/null ||
    mv "$kernel"/busybox/usr/bin/busybox "$kernel/busybox.static"
  number_modules
  rm -r "$kernel/busybox" "$kernel/boot" "$kernel/usr" "$kernel/lib"
  : > "$kernel/complete"
}

# Copies the needed modules to $kernel/modules, uncompressed and named in the order in which they can be loaded.
number_modules() {
  local root=$kernel/lib/modules/$release module
  [ -d "$root" ] || { mkdir -p "$kernel/lib/modules" && mv "$kernel/usr/lib/modules/$release" "$root"; }
  local -A path=() placed=()
  while IFS= read -r module; do
    local name=${module##*/}
    name=${name%%.ko*}
    path[${name//-/_}]=$module
  done < <(cd "$root" && find . -name '*.ko*')
  mkdir -p "$kernel/modules"
  for module in $(needed_modules); do place_module "$module"; done
}

# place_module NAME: its dependencies first. What is in the kernel itself has no file.
place_module() {
  local name=$1 file dependency
  [ -z "${placed[$name]:-}" ] || return 0
  placed[$name]=1
  file=${path[$name]:-}
  if [ -z "$file" ]; then
    tr - _ < "$root/modules.builtin" | grep -q "/$name\\.ko" || die "Linux $release of Debian $suite has no module $name"
    return
  fi
  local plain
  plain=$kernel/modules/$name.ko
  case $file in
    *.xz) xz -dc "$root/$file" > "$plain" ;;
    *.zst) zstd -qdc "$root/$file" > "$plain" ;;
    *) cp "$root/$file" "$plain" ;;
  esac
  # .modinfo holds NUL-ended "depends=a,b".
  for dependency in $(tr '\0' '\n' < "$plain" | grep -a '^depends=' | cut -d= -f2 | tr , ' '); do
    place_module "${dependency//-/_}"
  done
  echo "$name" >> "$kernel/modules/order"
}

# The initramfs of this run: busybox, the modules, and /init.
make_initramfs() {
  local root=$work/initramfs
  mkdir -p "$root"/{bin,proc,sys,dev,host,over,root}
  cp "$kernel/busybox.static" "$root/bin/busybox"
  cp -r "$kernel/modules" "$root/modules"
  cp "$repo/scripts/lab.d/init" "$root/init"
  chmod 755 "$root/init"
  (cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"
  rm -r "$root"
}
