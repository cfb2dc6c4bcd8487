# shellcheck shell=bash disable=SC2154
# The demonstration: a coordinator and its participants as processes of this machine. Sourced by ./dev.

demo_pids=() state=""
stop_demo() {
  trap '' INT TERM
  ((${#demo_pids[@]})) || return 0
  kill -TERM "${demo_pids[@]}" 2>/dev/null || true
  local tries
  for ((tries = 0; tries < 50; ++tries)); do
    kill -0 "${demo_pids[@]}" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "${demo_pids[@]}" 2>/dev/null || true
  wait "${demo_pids[@]}" 2>/dev/null || true
  demo_pids=()
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

demo() {
  local once="" tab="" port="" participants=8 writers=10 i first status=0 interrupted=""
  while (($#)); do
    case $1 in
      --once) once=1 ;;
      --tab) tab=1 ;;
      --port) port=${2:?--port wants a number} && shift ;;
      *) fail "demo does not know '$1'" "./dev demo --help says what it knows." ;;
    esac
    shift
  done
  [[ -t 1 ]] || once=1
  if [[ -n $tab ]]; then setup tab; else setup run; fi
  [[ -z $tab || -n $can_web ]] || fail "the page could not be built, so no tab can join" "See the missing parts above."
  build
  if [[ -n $port ]]; then
    ! port_taken "$port" || fail "port $port is in use" "Leave --port away to take a free one."
  else
    port=8787
    while port_taken "$port"; do port=$((port + 1)); done
  fi
  state=$(mktemp -d)
  mkdir -p "$logs"
  trap 'stop_demo; leave; rm -rf "$state"' EXIT
  trap 'interrupted=1; kill -TERM "$serve" 2>/dev/null || true' INT TERM
  build/native/linnet serve native/examples/demo.json --listen "127.0.0.1:$port" --state "$state/serve" \
    --expect $((participants + ${tab:-0})) ${once:+--once} &
  serve=$!
  demo_pids+=("$serve")
  while ! port_taken "$port"; do
    kill -0 "$serve" 2>/dev/null || fail "the coordinator ended before it listened" "Its own words are above."
    sleep 0.1
  done
  for ((i = 0; i < participants; ++i)); do
    first=$((i * writers))
    build/native/linnet join "ws://127.0.0.1:$port" --data "strokes?writers=$first-$((first + writers - 1))&per=60" \
      --name "daemon-$((i + 1))" --state "$state/participant-$((i + 1))" >"$logs/demo-participant-$((i + 1)).log" 2>&1 &
    demo_pids+=($!)
  done
  if [[ -n $tab ]]; then
    node tests/browser/demo_tab.mjs "http://127.0.0.1:$port/" >"$logs/demo-tab.log" 2>&1 &
    tab=$!
    demo_pids+=("$tab")
  fi
  wait "$serve" || status=$?
  if [[ -n $interrupted ]]; then status=0 && { wait "$serve" || status=$?; }; fi
  if [[ -n $tab && -z $interrupted ]]; then
    wait "$tab" || status=1
    tail -n "$((status ? 20 : 1))" "$logs/demo-tab.log"
  fi
  stop_demo
  exit "$status"
}
