# shellcheck shell=bash disable=SC2154,SC2034
# What Linnet is built from, for systems where ./dev setup installs nothing. Sourced by ./dev.

# On other systems nothing is installed: this says what is missing and how to get it, and turns off what cannot be built.
# Each row: what | how it is checked | Debian's, Fedora's and Arch's package (or the words to show instead).
check_system() {
  local rows=(
    "clang >= 19 or g++ >= 12|compiler|clang-19 / clang / clang"
    "CMake >= 3.25|tool cmake|cmake / cmake / cmake"
    "Ninja|tool ninja|ninja-build / ninja-build / ninja"
    "pkg-config|tool pkg-config|pkg-config / pkgconf / pkgconf"
    "Cap'n Proto compiler|tool capnpc-c++|capnproto / capnproto / capnproto"
    "Cap'n Proto library|header capnp/message.h|libcapnp-dev / capnproto-devel / capnproto"
    "WebSocket++|header websocketpp/version.hpp|libwebsocketpp-dev / websocketpp-devel / websocketpp"
    "Asio (standalone)|header asio.hpp|libasio-dev / asio-devel / asio"
    "OpenSSL|header openssl/ssl.h|libssl-dev / openssl-devel / openssl"
    "SQLite|header sqlite3.h|libsqlite3-dev / sqlite-devel / sqlite"
    "libsodium|header sodium.h|libsodium-dev / libsodium-devel / libsodium"
    "nlohmann-json|header nlohmann/json.hpp|nlohmann-json3-dev / json-devel / nlohmann-json"
    "CLI11|header CLI/CLI.hpp|libcli11-dev / cli11-devel / cli11"
    "spdlog|header spdlog/spdlog.h|libspdlog-dev / spdlog-devel / spdlog"
    "zlib|header zlib.h|zlib1g-dev / zlib-devel / zlib"
    "Protocol Buffers|header google/protobuf/message_lite.h|libprotobuf-dev / protobuf-lite-devel / protobuf"
    "Protocol Buffers compiler|tool protoc|protobuf-compiler / protobuf-compiler / protobuf")
  local web_rows=(
    "Emscripten >= 3.1.60|emscripten|emscripten (Debian 13) / emscripten / emscripten, or upstream's emsdk: emcc must be on PATH"
    "Node.js >= 22|node|the npm package 'node', nodejs22 / nodejs-22 / nodejs"
    "npm|tool npm|npm / nodejs-npm / npm"
    "Highway source|file ${LINNET_HIGHWAY_SOURCE:-$cache/highway/source}/hwy/highway.h|optional: CMake fetches it, or set LINNET_HIGHWAY_SOURCE"
    "Cap'n Proto source|file ${LINNET_CAPNP_SOURCE:-$cache/capnproto/source}/src/capnp/common.h|unpack the version of your capnp there"
    "libsodium source|file ${LINNET_SODIUM_SOURCE:-$cache/libsodium/source}/src/libsodium/include/sodium.h|unpack libsodium 1.0.18 or newer there")
  local test_rows=(
    "GoogleTest|header gmock/gmock.h|libgtest-dev libgmock-dev googletest / gmock-devel / gtest"
    "Google Benchmark|header benchmark/benchmark.h|libbenchmark-dev / google-benchmark-devel / benchmark")
  local browser_rows=("Chromium|tool chromium|chromium / chromium / chromium")
  say "  This is not Debian 12 or newer: nothing will be installed, what is there is used."
  report_missing "${rows[@]}" || fail "the native program cannot be built without the parts above" "Install them and run this again."
  report_missing "${web_rows[@]}" || { can_web="" && say "  Without these the page and its WASM engine are left out; the native program works without them."; }
  if [[ $1 == test ]]; then
    report_missing "${test_rows[@]}" || fail "the tests cannot be built without the parts above" "Install them and run this again."
  fi
  [[ $1 == run ]] || report_missing "${browser_rows[@]}" || fail "a browser is needed for this" "Install it and run this again."
}

report_missing() {
  local row what check how absent=0
  for row in "$@"; do
    IFS='|' read -r what check how <<<"$row"
    case $check in
      compiler) [[ -n $(native_compiler) ]] && continue ;;
      tool*) command -v "${check#tool }" >/dev/null && continue ;;
      header*) printf '#include <%s>\n' "${check#header }" | "$(native_compiler)" -std=c++17 -DASIO_STANDALONE -E -xc++ - >/dev/null 2>&1 && continue ;;
      file*) [[ -e ${check#file } || $how == optional* ]] && continue ;;
      emscripten) emcc_is_new_enough && continue ;;
      node) (($(node_major) >= 22)) && continue ;;
    esac
    [[ $check != file* ]] || how="${check#file }: $how"
    printf '  %smissing%s %s (Debian / Fedora / Arch: %s)\n' "$red" "$plain" "$what" "$how"
    absent=1
  done
  return $absent
}

node_major() { local version; version=$(node --version 2>/dev/null || true); version=${version#v}; printf '%d' "${version%%.*}" 2>/dev/null; }

emcc_is_new_enough() {
  local version
  version=$(emcc -dumpversion 2>/dev/null || true)
  [[ -n $version && $(printf '%s\n' 3.1.60 "$version" | sort -V | head -n 1) == 3.1.60 ]]
}
