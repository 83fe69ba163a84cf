# Sourced by scripts/test: runs test files in labs. What a lab leaves lies in .tap/labs/NAME.
# shellcheck shell=bash disable=SC2154

# A lab is emulated: waits are this much longer there, and known numbers of exits this part of what they are elsewhere.
LAB_PATIENCE=8
LAB_SCALE=0.02

# The labs of a run, NAME|OPTIONS, in the order in which they are begun. x86_64-trixie has the tests that need KVM besides
# its own where this machine has none; whoever is done with the others helps it.
LABS=('x86_64-trixie|--kernel trixie' 'arm64-trixie|--arch arm64' 'x86_64-bookworm|--kernel bookworm')
SMOKE=kernel-tests/lab/smoke.test.ts

# lacks_lab: whether no lab can be made here, and why ($no_lab). Installs what labs need.
lacks_lab() {
  no_lab=''
  if [ -n "${PMUFS_LAB:-}" ]; then no_lab='this is one'
  elif [ "$(id -u)" -ne 0 ]; then no_lab='it needs root'
  elif ! command -v apt-get >/dev/null; then no_lab='it needs apt-get'
  elif ! (need_lab_packages); then no_lab='QEMU or the compilers cannot be installed'
  elif ! scripts/lab --check; then no_lab='there is no mirror of Debian'
  fi
  [ -n "$no_lab" ]
}

need_lab_packages() {
  need_packages qemu-system-x86_64=qemu-system-x86 qemu-system-aarch64=qemu-system-arm || return
  case $(uname -m) in
    x86_64)
      need_packages aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
        /usr/aarch64-linux-gnu/include/stdio.h=libc6-dev-arm64-cross
      ;;
    aarch64)
      need_packages x86_64-linux-gnu-gcc=gcc-x86-64-linux-gnu \
        /usr/x86_64-linux-gnu/include/stdio.h=libc6-dev-amd64-cross
      ;;
  esac
}

# patience SECONDS: as long as tests wait on this machine (kernel-tests/support/patience.ts).
patience() { awk -v seconds="$1" -v factor="${PMUFS_TEST_PATIENCE:-1}" 'BEGIN { printf "%d", seconds * factor }'; }

compiler_of() { echo "${1/arm64/aarch64}-linux-gnu-gcc"; }

# What all labs share: the tests as JavaScript, and the C VMM for both architectures. Sets $lacking, what this machine
# lacks, and writes which files each lab runs.
prepare_labs() {
  node scripts/transpile-tests.js .tap/labs/js
  local plan architecture each name vmm=kernel-tests/fixtures/micro-vmm.c
  for architecture in x86_64 arm64; do
    "$(compiler_of "$architecture")" -O2 -Wall -Wextra -Werror -static -pthread \
      -o ".tap/labs/micro-vmm.$architecture" "$vmm"
  done
  mapfile -t plan < <(node --import=@tapjs/typescript/import kernel-tests/support/plan.ts "${kernel[@]}")
  lacking=${plan[0]}
  for each in "${LABS[@]}"; do
    name=${each%%|*}
    mkdir -p ".tap/labs/$name"/{results,taken}
    echo "$SMOKE" > ".tap/labs/$name/files"
  done
  [ -z "$lacking" ] && return
  printf '%s\n' "${plan[@]:1}" >> .tap/labs/x86_64-trixie/files
  echo "this machine lacks $lacking: $((${#plan[@]} - 1)) files of tests that need it run in a lab"
}

# files_left NAME: the files of a lab that nobody has taken.
files_left() {
  local file
  while read -r file; do
    [ -d ".tap/labs/$1/taken/${file##*/}" ] || echo "$file"
  done < ".tap/labs/$1/files"
}

# boot_lab NAME OPTIONS: boots it once, for all of its files that nobody has taken. Its status is 125 where it died.
boot_lab() {
  local name=$1 options=$2 left
  mapfile -t left < <(files_left "$name")
  [ ${#left[@]} -gt 0 ] || return 0
  # In the background, where a trap can end it while it is waited for.
  # shellcheck disable=SC2086
  scripts/lab $options --out .tap/labs --env "PMUFS_TEST_PATIENCE=$LAB_PATIENCE" \
    --env "PMUFS_TEST_SCALE=$LAB_SCALE" --env "PMUFS_TEST_LAB_FOR=$lacking" \
    --env "PMUFS_TEST_MICRO_VMM=/lab/out/micro-vmm.${name%%-*}" --env REQUIRE_KERNEL_TESTS=1 \
    -- sh -c 'cp -r /lab/out/js/. . && exec node scripts/lab-tests.js "$@"' sh "$name" "$lab_id" "${left[@]}" \
    > >(sed -u "s/^/$name: /") 2>&1 &
  lab=$!
  local status=0
  wait "$lab" || status=$?
  lab=''
  return "$status"
}

# What this shell has in the background: the lab that it has booted, and the shell that boots others.
lab='' labs=''
end_labs() {
  local process
  for process in $lab $labs; do
    kill "$process" 2>/dev/null || continue
    wait "$process" || true
  done
}

# run_lab NAME OPTIONS: a machine that died is booted once more for what it left: QEMU's emulation, not a test, failed.
run_lab() {
  local name=$1 options=$2 start=$SECONDS status=0 file lab_id=$BASHPID-$SECONDS
  boot_lab "$name" "$options" || status=$?
  if [ "$status" -eq 125 ]; then
    echo "$name: the machine died; once more for what it left"
    while read -r file; do
      grep -qs '^1\.\.' ".tap/labs/$name/results/$file.tap" || [ ! -d ".tap/labs/$name/taken/${file##*/}/$lab_id" ] ||
        rm -r ".tap/labs/$name/taken/${file##*/}"
    done < ".tap/labs/$name/files"
    boot_lab "$name" "$options" || true
  fi
  echo $((SECONDS - start)) >> ".tap/labs/$name/seconds"
}

# run_labs: takes one lab after the other that nobody else has begun, and then helps the first.
run_labs() {
  local each
  for each in "${LABS[@]}"; do
    mkdir ".tap/labs/${each%%|*}/begun" 2>/dev/null || continue
    run_lab "${each%%|*}" "${each#*|}"
  done
  [ -z "$(files_left "${LABS[0]%%|*}")" ] || run_lab "${LABS[0]%%|*}" "${LABS[0]#*|}"
}
