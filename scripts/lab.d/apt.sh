# Sourced by scripts/lab: Debian packages of any release and architecture, without touching this machine's own apt.
# shellcheck shell=bash disable=SC2154

# Where this machine gets Debian packages from: the URI of the first Debian source of its apt.
debian_mirror() {
  [ -z "${PMUFS_LAB_MIRROR:-}" ] || { echo "$PMUFS_LAB_MIRROR"; return; }
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 ~ /^(bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)$/ && $3 == "main" && !found { print $1; found = 1 }'
}

need_mirror() {
  local uri
  uri=$(debian_mirror)
  [ -n "$uri" ] || die 'no Debian source among those of apt (Ubuntu has none): set PMUFS_LAB_MIRROR to a Debian mirror'
  echo "$uri"
}

# use_apt SUITE ARCHITECTURE: from here on `apt` is one with lists of its own for these. Sets $apt.
use_apt() {
  local suite=$1 architecture=$2 uri
  apt=$cache/apt/$suite-$architecture
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc}
  [ -e "$apt/state/status" ] || : > "$apt/state/status"
  uri=$(need_mirror)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" > "$apt/etc/sources.list"
  cat > "$apt/etc/apt.conf" <<END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Dir::State "$apt/state";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
DPkg::Post-Invoke {};
APT::Update::Post-Invoke {};
END
}

# apt_run COMMAND ...: apt-get or apt-cache on the lists of use_apt. Post-invoke hooks of the machine's are not for it:
# Debian's container images delete downloaded packages so.
apt_run() {
  local command=$1
  shift
  APT_CONFIG=$apt/etc/apt.conf "$command" -qq -o Acquire::Languages=none -o APT::Keep-Downloaded-Packages=true "$@"
}

# The lists are fetched again when they are older than a day.
update_lists() {
  [ -n "$(find "$apt/state/updated" -mtime -1 2>/dev/null)" ] && return
  step "reading the package lists of ${apt##*/}"
  apt_run apt-get update > "$work/apt.log" 2>&1 || die "apt-get update failed: $(tail -n 3 "$work/apt.log")"
  : > "$apt/state/updated"
}

# download FOLDER PACKAGE ...: the packages with all that they depend on, as FOLDER/*.deb.
download() {
  local folder=$1
  shift
  apt_run apt-get install --yes --download-only -o Dir::Cache::archives="$folder" "$@" > "$work/apt.log" 2>&1 ||
    die "cannot download $*: $(tail -n 3 "$work/apt.log")"
}
