# Sourced by scripts/test: runs test files in labs. What a lab leaves lies in .tap/labs/NAME.
# shellcheck shell=bash disable=SC2154

# A lab is emulated: waits are this much longer there, and known numbers of exits this part of what they are elsewhere.
LAB_PATIENCE=8
LAB_SCALE=0.02

# Whether a lab can be made at all. What it installs itself, it can install: Debian packages.
has_lab() { command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] && [ -z "${PMUFS_LAB:-}" ]; }

# in_lab NAME "OPTIONS" FILE ...: boots it once and runs all files. A machine that died is booted once more for what is
# left: QEMU's emulation, not a test, is what fails then.
in_lab() {
  local name=$1 options=$2 out=.tap/labs/$1 status=0 left=()
  shift 2
  mkdir -p "$out/results"
  cp -r .tap/js "$out/js"
  cp ".tap/micro-vmm.${name%%-*}" "$out/micro-vmm"
  printf '%s\n' "$@" > "$out/files"
  SECONDS=0
  left=("$@")
  for try in first second; do
    status=0
    # shellcheck disable=SC2086
    scripts/lab $options --out "$out" --env "PMUFS_TEST_PATIENCE=$LAB_PATIENCE" --env "PMUFS_TEST_SCALE=$LAB_SCALE" \
      --env "PMUFS_TEST_LAB_FOR=$lacking" --env "PMUFS_TEST_MICRO_VMM=/lab/out/micro-vmm" --env REQUIRE_KERNEL_TESTS=1 \
      -- sh -c 'cp -r /lab/out/js/. . && exec node scripts/lab-tests.js "$@"' sh "${left[@]}" 2>&1 |
      sed -u "s/^/$name: /" || status=$?
    [ "$status" -eq 125 ] || break
    mapfile -t left < <(for file in "$@"; do grep -qs '^1\.\.' "$out/results/$file.tap" || echo "$file"; done)
    [ $try = second ] || echo "$name: the machine died; once more for ${#left[@]} files"
  done
  echo "$SECONDS" > "$out/seconds"
  rm -r "$out/js" "$out/micro-vmm"
}

# patience SECONDS: as long as tests wait on this machine (kernel-tests/support/patience.ts).
patience() { awk -v seconds="$1" -v factor="${PMUFS_TEST_PATIENCE:-1}" 'BEGIN { printf "%d", seconds * factor }'; }

compiler_of() { echo "${1/arm64/aarch64}-linux-gnu-gcc"; }

# What all labs share: the tests as JavaScript, and the C VMM for both architectures. Sets $lacking and $lab_files: what
# this machine lacks, and the tests that need that.
prepare_labs() {
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
  node scripts/transpile-tests.js .tap/js
  local plan architecture vmm=kernel-tests/fixtures/micro-vmm.c
  for architecture in x86_64 arm64; do
    "$(compiler_of "$architecture")" -O2 -Wall -Wextra -Werror -static -pthread -o ".tap/micro-vmm.$architecture" "$vmm"
  done
  mapfile -t plan < <(node --import=@tapjs/typescript/import kernel-tests/support/plan.ts "${kernel[@]}")
  lacking=${plan[0]} lab_files=("${plan[@]:1}")
  [ -z "$lacking" ] || echo "this machine lacks $lacking: ${#lab_files[@]} files of tests that need it run in a lab"
}

run_labs() {
  local smoke=(kernel-tests/lab/smoke.test.ts)
  in_lab x86_64-trixie '--kernel trixie' "${smoke[@]}" "${lab_files[@]}"
  in_lab arm64-trixie '--arch arm64' "${smoke[@]}"
  in_lab x86_64-bookworm '--kernel bookworm' "${smoke[@]}"
}
