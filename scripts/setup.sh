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

need_node() {
  command -v node >/dev/null || die 'Node.js 20 or newer is needed: install the "nodejs" package or see https://nodejs.org'
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || die "Node.js 20 or newer is needed, this is $(node --version)"
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
