# shellcheck shell=bash disable=SC2154,SC2016
# What the WASM build needs beside the system's packages: Emscripten and the sources of the libraries that are compiled
# for both targets. Sourced by ./dev, which provides cache, run_apt, install_part and part_ready.
#
# All of it comes from the machine's own Debian mirror and lies in the private cache: nothing is ever installed from
# the next release, its packages are only unpacked.

next_codename=trixie
emscripten_version=3.1.69
highway_version=1.2.0

# Prints "URI|SIGNED_BY" of the machine's own Debian archive: main, of its own codename, neither -security nor a
# third party's. The Release file names Debian where it has been downloaded; else the keyring or the path tells.
debian_archive() {
  local uri release component key origin best="" score best_score=0
  while IFS='|' read -r uri release component key origin; do
    [[ $release == "$codename" && $component == main ]] || continue
    [[ $key == '$('* ]] && key=""
    score=1
    [[ $uri == */debian/ || $uri == mirror+file:*debian* ]] && score=2
    [[ $key == *debian-archive* ]] && score=3
    [[ $origin == Debian ]] && score=4
    [[ $origin != Debian && $origin != '$('* && -n $origin ]] && score=0
    if ((score > best_score)); then best_score=$score best="$uri|$key"; fi
  done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)|$(ORIGIN)' 'Created-By: Packages')
  [[ -n $best ]] || fail "no source for Debian $codename main is configured in /etc/apt" \
    "Add the 'deb' line of your Debian mirror for $codename main and run this again."
  printf '%s\n' "$best"
}

# private_apt SUITE ARGUMENTS...: apt-get over a list of its own that names only SUITE, with its own state. Needs no
# rights and cannot install anything.
private_apt() {
  local suite=$1 folder=$work/apt-$1 uri key options=""
  shift
  if [[ ! -d $folder ]]; then
    IFS='|' read -r uri key < <(debian_archive)
    [[ -n ${uri:-} ]] || return 1
    [[ -z $key && -r /usr/share/keyrings/debian-archive-keyring.gpg ]] && key=/usr/share/keyrings/debian-archive-keyring.gpg
    [[ $key == /* ]] && options="[signed-by=$key] "
    mkdir -p "$folder.new/lists/partial" "$folder.new/cache/archives/partial"
    printf '%s %s%s %s main\n' deb "$options" "$uri" "$suite" deb-src "$options" "$uri" "$suite" >"$folder.new/sources.list"
    mv "$folder.new" "$folder"
    private_apt "$suite" update
  fi
  apt-get -q -y -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" -o Dir::Cache::pkgcache="" \
    -o Dir::Cache::srcpkgcache="" -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=false "$@"
}

# source_of SUITE PACKAGE[=VERSION] FOLDER: the source package, unpacked with the distribution's patches.
source_of() {
  local download=$work/source-${2%%=*}
  mkdir -p "$download" || return 1
  (cd "$download" && private_apt "$1" source --download-only "$2") || return 1
  dpkg-source --no-check --no-copy -x "$download"/*.dsc "$3"
}

# The same as it came from upstream, for mirrors that have lost the distribution's part of it.
upstream_source_of() {
  local download=$work/source-${2%%=*}
  (cd "$download" && private_apt "$1" source --download-only --tar-only "$2") || return 1
  mkdir "$3" && tar -xf "$download"/*.orig.tar.* -C "$3" --strip-components=1
}

make_emscripten() {
  local part=$1 final=$2 root loader tool
  root=$part/prefix
  mkdir -p "$root" "$part/binaryen/bin" "$work/debs"
  (cd "$work/debs" && private_apt "$next_codename" download emscripten binaryen node-acorn libc6 libstdc++6 libgcc-s1)
  for deb in "$work"/debs/*.deb; do
    dpkg -x "$deb" "$root"
    rm "$deb"
  done
  # The newer binaryen needs the newer libc, so each tool runs through the loader that came with it.
  loader=$(find "$root" -name 'ld-linux*.so.?' | head -n 1)
  [[ -n $loader ]] || { echo "no dynamic loader in the unpacked libc6" && return 1; }
  for tool in "$root"/usr/bin/wasm*; do
    [[ $(head -c 4 "$tool") == $'\x7fELF' ]] || continue
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$final${loader#"$part"}" \
      "$final/prefix/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)" "$final${tool#"$part"}" \
      >"$part/binaryen/bin/${tool##*/}"
    chmod +x "$part/binaryen/bin/${tool##*/}"
  done
  mkdir -p "$root/usr/share/emscripten/node_modules"
  ln -sfn ../../nodejs/acorn "$root/usr/share/emscripten/node_modules/acorn"
  cat >"$root/usr/share/emscripten/.emscripten" <<CONFIG
EMSCRIPTEN_ROOT = '$final/prefix/usr/share/emscripten'
LLVM_ROOT = '/usr/lib/llvm-19/bin'
BINARYEN_ROOT = '$final/binaryen'
NODE_JS = '$node'
CACHE = '$final/prefix/usr/share/emscripten/cache'
FROZEN_CACHE = True
CONFIG
}

make_highway() {
  local suite=$codename
  [[ $suite != bookworm ]] || suite=$next_codename
  source_of "$suite" highway "$1/source"
}

make_capnproto() {
  local package
  package=capnproto=$(dpkg-query -W -f '${source:Version}' libcapnp-dev)
  source_of "$codename" "$package" "$1/source" || upstream_source_of "$codename" "$package" "$1/source"
}

make_libsodium() { source_of "$codename" libsodium "$1/source"; }

setup_wasm() {
  local capnp_version
  if [[ $codename == bookworm ]]; then
    install_part emscripten "$emscripten_version $cache" "Emscripten $emscripten_version (240 MB)" make_emscripten
  fi
  capnp_version=$(dpkg-query -W -f '${source:Version}' libcapnp-dev)
  install_part highway "$highway_version" "Highway $highway_version source" make_highway
  install_part capnproto "$capnp_version" "Cap'n Proto source" make_capnproto
  install_part libsodium 1 "libsodium source" make_libsodium
}
