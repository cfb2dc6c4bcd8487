# shellcheck shell=bash disable=SC2154,SC2034
# The test suites and benchmarks as ./dev runs them. Sourced by ./dev, which provides step, configure and the builds.

all_suites=(format native wasm web browser asan tsan)
filter=()

# The list of what failed comes last, where the tail of the log shows it.
export NODE_OPTIONS="${NODE_OPTIONS:-} --test-reporter=spec"

# limited SECONDS COMMAND...: in a process group of its own, ended when the time is up or on Ctrl-C.
limited() {
  local pid
  timeout --kill-after=10 "$@" &
  pid=$!
  trap 'kill "$pid"; exit 130' INT TERM
  wait "$pid"
}

run_ctest() { ctest --test-dir "build/$1" --output-on-failure --no-tests=error -j "$(nproc)" "${@:2}" "${filter[@]}"; }

# build_and_test FOLDER WHAT FLOORS: only the tests of some floors (a regular expression), where all would take too long.
build_and_test() {
  # shellcheck disable=SC2046
  step "$2: build" "test-$1-build.log" ninja -C "build/$1" $(targets_of "$1" "test_($3)|[a-z_]+_fuzz")
  step "$2: run" "test-$1.log" run_ctest "$1" -R "^($3)\$|_fuzz\$"
}

suite_format() { step "format" test-format.log format --check; }

# ONNX Runtime, which runs what we export (tests/e2e/onnx.test.mjs).
onnxruntime=onnxruntime-node@1.30.0

fetch_onnxruntime() {
  npm install --prefix "$1" --ignore-scripts --no-audit --no-fund --no-save --loglevel=warn "$onnxruntime"
}

suite_native() {
  build_native
  install_part onnxruntime "$onnxruntime" "ONNX Runtime for tests" fetch_onnxruntime
  step "native: build" test-native-build.log ninja -C build/native
  step "native: run" test-native.log run_ctest native
}

suite_wasm() {
  configure wasm wasm
  configure wasm-relaxed wasm-relaxed
  step "wasm: build" test-wasm-build.log ninja -C build/wasm
  step "wasm: run in Node.js" test-wasm.log run_ctest wasm
  build_and_test wasm-relaxed "wasm, relaxed SIMD" 'kernels|model'
  configure wasm-threads wasm-threads
  build_and_test wasm-threads "wasm, threads" 'kernels'
}

suite_web() {
  build
  step "web: run" test-web.log limited 300 npm --prefix web test
}

run_browser_tests() {
  local files=(tests/browser/*.test.mjs)
  [[ -e ${files[0]} ]] || { echo "no tests/browser/*.test.mjs" && return 1; }
  limited 900 node --test --test-concurrency=1 "${files[@]}"
}

suite_browser() {
  build
  step "browser: run in Chromium" test-browser.log run_browser_tests
}

suite_asan() {
  export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
  configure asan asan
  build_and_test asan "address and undefined-behaviour sanitizers" 'base|data|codec|wire|fed|capi|abi|native'
}

suite_tsan() {
  export TSAN_OPTIONS=halt_on_error=1
  configure tsan tsan
  build_and_test tsan "thread sanitizer" 'kernels|sim|native'
}

# run_tests [SUITE...] [--filter REGEX]
run_tests() {
  local chosen=() name start passed=0 failed=0 table=""
  while (($#)); do
    case $1 in
      --filter) filter=(-R "${2:?--filter wants a regular expression}") && shift ;;
      *)
        declare -F "suite_$1" >/dev/null || fail "there is no suite '$1'" "There are: ${all_suites[*]}"
        chosen+=("$1")
        ;;
    esac
    shift
  done
  ((${#chosen[@]})) || chosen=("${all_suites[@]}")
  setup test
  keep_going=1
  for name in "${chosen[@]}"; do
    start=$SECONDS step_status=0
    if [[ -z $can_web && $name =~ ^(wasm|web|browser)$ ]]; then
      table+=$(printf '  %-8s skipped (see the missing parts above)' "$name")$'\n'
      continue
    fi
    "suite_$name"
    if ((step_status == 0)); then
      passed=$((passed + 1))
      table+=$(printf '  %-8s %spassed%s %5d s' "$name" "$green" "$plain" $((SECONDS - start)))$'\n'
    else
      failed=$((failed + 1))
      table+=$(printf '  %-8s %sfailed%s %5d s' "$name" "$red" "$plain" $((SECONDS - start)))$'\n'
    fi
  done
  printf '\n%s%d passed, %d failed\n' "$table" "$passed" "$failed"
  exit $((failed > 0))
}

# The packages of the other systems, in the cache; versions are pinned here.
peer_packages=(onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0)

fetch_peers() {
  npm install --prefix "$1" --ignore-scripts --no-audit --no-fund --no-save --loglevel=warn "${peer_packages[@]}"
}

run_peers() {
  local variant
  [[ -z $debian ]] || install_packages python3-torch libdnnl-dev libopenblas-pthread-dev
  install_part peers "${peer_packages[*]}" "the other systems' npm packages" fetch_peers
  # Configured anew: the libraries of the peers may have come since.
  step -q "configure the peers" configure-peers.log cmake --preset native -B build/native -DLINNET_TESTS=ON
  step -q "peers: native" build-peers.log ninja -C build/native linnet_peer products_peer
  for variant in wasm wasm-relaxed wasm-threads; do
    configure $variant $variant
    step -q "peers: $variant" build-peers-$variant.log ninja -C build/$variant linnet_peer
  done
  cmp -s web/package-lock.json web/node_modules/.installed || step "npm packages" setup-npm.log npm_install web  # the browser's driver
  node tests/bench/peers.mjs --packages "$cache/peers/node_modules" "$@"
}

run_benches() {
  local target
  setup test
  build_native
  if [[ ${1:-} == peers ]]; then
    run_peers "${@:2}"
    return
  fi
  # shellcheck disable=SC2046
  step -q "benchmarks" build-bench.log ninja -C build/native $(targets_of native '[a-z0-9_]+_bench')
  for target in $(targets_of native '[a-z0-9_]+_bench'); do
    [[ $# == 0 || $target == *"$1"* ]] || continue
    say "$bold$target$plain"
    "$(find build/native -type f -name "$target" -print -quit)" --benchmark_min_time=0.1
  done
}
