# Sourced by scripts/lab: the machine itself.
# shellcheck shell=bash disable=SC2154

# COMMAND=PACKAGE of the QEMU for an architecture.
qemu_of() {
  case $1 in
    x86_64) echo qemu-system-x86_64=qemu-system-x86 ;;
    arm64) echo qemu-system-aarch64=qemu-system-arm ;;
  esac
}

# Whether guests of this machine's KVM have KVM themselves. Other modules than these two enter no unmodified kernel.
can_nest() {
  is_native && [ -r /dev/kvm ] && [ -w /dev/kvm ] && [ "$arch" = x86_64 ] &&
    grep -qs '[1Y]' /sys/module/kvm_{intel,amd}/parameters/nested
}

# What runs inside, as a script and its settings: the guest gets this folder as /lab/job.
write_job() {
  mkdir "$work/job"
  {
    printf 'folder=%q\n' "$PWD"
    printf 'now=%s\n' "$(date +%s)"
    printf 'checkout=%q\n' "$repo"
    printf 'mode=%q\n' "$mode"
    printf 'has_out=%q\n' "$out"
    [ "$mode" = command ] || stty size | awk '{ printf "rows=%d columns=%d\n", $1, $2 }'
    printf 'export PMUFS_LAB=%q\n' "$suite-$arch"
    [ ${#variables[@]} -eq 0 ] || printf 'export %q\n' "${variables[@]}"
    [ $# -eq 0 ] || { printf 'command=('; printf '%q ' "$@"; printf ')\n'; }
  } > "$work/job/settings"
  cp "$repo/scripts/lab.d/session" "$work/job/session"
}

share() { # share PATH TAG OPTIONS
  printf -- '-virtfs\nlocal,path=%s,mount_tag=%s,security_model=none,multidevs=remap%s\n' "${1//,/,,}" "$2" "$3"
}

# Boots, waits for the end, and exits with the command's status. Emulated processors take turns (thread=single): when
# they ran at once, the kernel's stacks were corrupted after some 100,000 exits of a guest.
boot() {
  local options console=ttyS0 accelerator=tcg,thread=single status
  case $arch in
    x86_64)
      options=(-machine q35 -cpu max,la57=off)
      if can_nest; then accelerator=kvm options=(-machine q35 -cpu host); fi
      ;;
    arm64)
      options=(-machine virt,virtualization=on,gic-version=3 -cpu neoverse-n1)
      console=ttyAMA0
      ;;
  esac
  options+=(-accel "$accelerator")
  mapfile -t -O "${#options[@]}" options < <(
    share "$root" root ,readonly=on
    share "$work/job" job ''
    [ "$root" = / ] || share "$repo" checkout ,readonly=on
    [ -z "$native_modules" ] || share "$native_modules" modules ,readonly=on
    [ -z "$out" ] || share "$out" out ''
  )
  options+=(-device virtio-serial)
  if [ "$mode" = shell ]; then
    terminal=$(stty -g)
    stty raw -echo
    options+=(-chardev 'stdio,id=tty,signal=off' -device virtconsole,chardev=tty)
  else
    # Ports for standard output and error, written as they come.
    options+=(-add-fd fd=3,set=1 -add-fd fd=4,set=2
      -chardev file,id=out,path=/dev/fdset/1,append=on -device virtserialport,chardev=out,name=lab.out
      -chardev file,id=err,path=/dev/fdset/2,append=on -device virtserialport,chardev=err,name=lab.err)
  fi
  options+=(-smp "$cpus" -m "$memory" -nodefaults -no-reboot -display none
    -kernel "$kernel/vmlinuz" -initrd "$work/initrd" -serial "file:$work/console"
    -append "console=$console mitigations=off nokaslr panic=-1 quiet tsc=reliable")
  step "booting Linux $release on $arch, $cpus CPUs, by ${accelerator%%,*}"
  # <&0: a job in the background would have no standard input.
  setpriv --pdeathsig KILL "qemu-system-${arch/arm64/aarch64}" "${options[@]}" <&0 3>&1 4>&2 2> "$work/qemu.log" &
  qemu=$!
  # A signal ends the wait, and its trap this script.
  wait "$qemu" || true
  qemu=''
  status=$(cat "$work/job/status" 2>/dev/null) || die "the machine died; the end of its console:
$(tail -n 15 "$work/qemu.log" "$work/console" 2>/dev/null)"
  step "the machine has ended, status $status"
  exit "$status"
}
