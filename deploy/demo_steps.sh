# The demo's steps; sourced by deploy/demo, which has set root, json_file and stay.
work=$(mktemp -d "${TMPDIR:-/tmp}/skein-demo.XXXXXX")
bin=$root/build/release/bin
skein=$bin/skein
# One block of ports per run, so that two demos do not meet.
port_base=$((20000 + ($$ % 2000) * 8))
port_devices=$port_base
port_admin=$((port_base + 1))
port_relay=$((port_base + 2))
port_edges=$((port_base + 2))  # edge i listens at port_edges + i
failed=
steps_json=
pids=()

cleanup() {
  [ -n "$stay" ] && [ -z "$failed" ] && return
  local pid
  for pid in "${pids[@]:-}"; do [ -n "$pid" ] && kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  if [ -n "$failed" ]; then echo "what each process said is in $work" >&2; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'failed=interrupted; exit 130' INT TERM

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.3f", b - a }'; }

# step NAME WORDS FUNCTION: runs it, remembers how long it took; after a failure the rest are not tried.
step() {
  local name=$1 words=$2 function=$3 began ok=true
  began=$(now)
  if [ -n "$failed" ]; then
    ok=false
  else
    printf '%-12s %s\n' "$name" "$words"
    if ! "$function" >"$work/step-$name.log" 2>&1; then
      ok=false
      failed=$name
      echo "demo: the step '$name' failed ($work/step-$name.log):" >&2
      tail -n 15 "$work/step-$name.log" >&2
    fi
  fi
  steps_json+="${steps_json:+,}{\"name\":\"$name\",\"ok\":$ok,\"seconds\":$(since "$began")}"
}

# field NAME: the first value of that name in the JSON on standard input.
field() { grep -o "\"$1\" *: *\(\"[^\"]*\"\|[^,}\"]*\)" | head -n 1 | sed 's/^"[^"]*" *: *//; s/^"//; s/"$//; s/ *$//'; }

# until_true SECONDS COMMAND...: tries four times a second.
until_true() {
  local tries=$(($1 * 4))
  shift
  while ! "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "gave up waiting for: $*"; return 1; }
    sleep 0.25
  done
}

install_packages() { "$root/deploy/install-packages"; }

build_programs() {
  cd "$root" && cmake --preset release && cmake --build --preset release --target skein skein-edge skein-coordinator
}

prepare_models() {
  v1=$root/deploy/models/skein-ref-v1.skein
  v2=$work/skein-ref-v2.skein
  "$skein" verify "$v1" || return 1
  "$skein" delta apply "$v1" "$root/deploy/models/skein-ref-v2.patch" -o "$v2" || return 1
  "$skein" verify "$v2" || return 1
  local facts
  facts=$("$skein" inspect "$v1" --json) || return 1
  f32_bytes=$(($(echo "$facts" | field parameters) * 4))
  artifact_bytes=$(echo "$facts" | field file_bytes)
}

start_coordinator() {
  "$skein" robot-log --mixed --lines 60 --seed 900 -o "$work/held-out.txt" || return 1
  cat >"$work/coordinator.toml" <<EOF
[daemon]
data_dir = "$work/coordinator"
[devices]
listen = "127.0.0.1:$port_devices"
heartbeat_ms = 200
[admin]
listen = "127.0.0.1:$port_admin"
[rounds]
held_out = "$work/held-out.txt"
EOF
  launch coordinator "$bin/skein-coordinator" --config "$work/coordinator.toml"
  export SKEIN_COORDINATOR=http://127.0.0.1:$port_admin SKEIN_TOKEN_FILE=$work/coordinator/admin.token
  until_true 20 curl -sf "$SKEIN_COORDINATOR/ready" -o /dev/null
}

# launch NAME PROGRAM ARGUMENTS...: in the background; its words go to NAME.log.
launch() {
  local name=$1
  shift
  "$@" >>"$work/$name.log" 2>&1 &
  pids+=($!)
  eval "pid_${name//-/_}=$!"
}

edge_port() { echo $((port_edges + $1)); }

start_edges() {
  # The first edge reaches the coordinator through a relay: a link that can be cut.
  launch relay "$skein" relay --listen "127.0.0.1:$port_relay" --to "127.0.0.1:$port_devices"
  local i token to
  for i in 1 2 3; do
    "$skein" robot-log --dialect $((i - 1)) --lines 60 --seed "$i" -o "$work/robot-$i.txt" || return 1
    token=$("$skein" device token -o json | field token) || return 1
    to=$port_devices
    [ "$i" = 1 ] && to=$port_relay
    cat >"$work/edge-$i.toml" <<EOF
[node]
name = "robot-$i"
data_dir = "$work/edge-$i"
[http]
listen = "127.0.0.1:$(edge_port "$i")"
[coordinator]
address = "127.0.0.1:$to"
token = "$token"
[learn]
text = "$work/robot-$i.txt"
consent = true
EOF
    launch "edge-$i" "$bin/skein-edge" --config "$work/edge-$i.toml"
  done
  until_true 30 three_devices
}

three_devices() { [ "$(curl -s -H "Authorization: Bearer $(cat "$SKEIN_TOKEN_FILE")" "$SKEIN_COORDINATOR/api/v1/devices" | grep -o '"certificate_serial"' | wc -l)" = 3 ]; }

# publish_and_roll_out FILE: to every device; returns when all have committed it.
publish_and_roll_out() {
  digest=$("$skein" model publish "$1" -o json | field digest)
  [ -n "$digest" ] || return 1
  "$skein" rollout create "$digest" --start || return 1
  until_true 90 all_active "$digest"
}

all_active() {
  [ "$(curl -s -H "Authorization: Bearer $(cat "$SKEIN_TOKEN_FILE")" "$SKEIN_COORDINATOR/api/v1/devices" |
    grep -o "\"active\":\"$1\"" | wc -l)" = 3 ]
}

metric() { curl -s "http://127.0.0.1:$(edge_port "$1")/metrics" | awk -v m="$2" '$1 == m || index($1, m "{") == 1 { s += $2 } END { printf "%.0f", s }'; }

deliver_v1() { publish_and_roll_out "$v1"; }

# ask PORT-OFFSET BODY: a completion; the whole JSON answer.
ask() {
  curl -s --max-time 120 -H 'Content-Type: application/json' -d "$2" \
    "http://127.0.0.1:$(edge_port "$1")/v1/completions"
}
prompt='The old captain looked at the sea and'

answer_prompt() {
  local reply
  # A whole answer of one token: the prompt, the first token, and HTTP.
  first_token_s=$(curl -s -N --max-time 60 -o "$work/stream.txt" -w '%{time_total}' \
    -H 'Content-Type: application/json' \
    -d "{\"prompt\":\"$prompt\",\"max_tokens\":1,\"temperature\":0,\"stream\":true}" \
    "http://127.0.0.1:$(edge_port 2)/v1/completions") || return 1
  grep -q '^data: \[DONE\]' "$work/stream.txt" || return 1
  reply=$(ask 2 "{\"prompt\":\"$prompt\",\"max_tokens\":400,\"temperature\":0}")
  answer=$(echo "$reply" | field text)
  decode_tokens_per_s=$(echo "$reply" | field decode_tokens_per_s)
  echo "answer: $answer"
  [ -n "$answer" ]
}

deliver_v2() {
  local before before_wire
  before=$(metric 2 skein_update_bytes_total)
  before_wire=$(metric 2 skein_update_wire_bytes_total)
  publish_and_roll_out "$v2" || return 1
  update_bytes=$(($(metric 2 skein_update_bytes_total) - before))
  update_wire_bytes=$(($(metric 2 skein_update_wire_bytes_total) - before_wire))
  [ "$update_bytes" -gt 0 ]
}

# The text of a streamed answer: the events' texts, joined (still JSON-escaped: enough to compare).
streamed_text() { grep -o '"text":"\([^"\\]\|\\.\)*"' "$1" | sed 's/^"text":"//; s/"$//' | tr -d '\n'; }

split_answer() {
  local body curl_pid tries=0
  body="{\"prompt\":\"$prompt\",\"max_tokens\":2000,\"temperature\":0,\"stream\":true"
  curl -s -N --max-time 120 -H 'Content-Type: application/json' -d "$body}" -o "$work/local.txt" \
    "http://127.0.0.1:$(edge_port 1)/v1/completions" || return 1
  curl -s -N --max-time 120 -H 'Content-Type: application/json' -o "$work/split.txt" \
    -d "$body,\"skein\":{\"split_layer\":3}}" "http://127.0.0.1:$(edge_port 1)/v1/completions" &
  curl_pid=$!
  # The link is cut as soon as the answer is well under way.
  while [ "$(grep -c '^data:' "$work/split.txt" 2>/dev/null || true)" -lt 20 ] 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 6000 ] || { echo "the split answer never began"; return 1; }
    sleep 0.005
  done
  kill -9 "$pid_relay"
  wait "$curl_pid" || return 1
  tail -c 600 "$work/split.txt"
  grep -q '^data: \[DONE\]' "$work/split.txt" || { echo "the answer did not end"; return 1; }
  # The link must really have been cut while the answer was under way.
  grep -q '"fell_back":true' "$work/split.txt" || { echo "the link was not cut mid-answer"; return 1; }
  split_equals_local=false
  [ "$(streamed_text "$work/local.txt")" = "$(streamed_text "$work/split.txt")" ] && split_equals_local=true
  launch relay "$skein" relay --listen "127.0.0.1:$port_relay" --to "127.0.0.1:$port_devices"
  [ "$split_equals_local" = true ] && [ -n "$(streamed_text "$work/local.txt")" ]
}

federated_round() {
  local id status
  id=$("$skein" round start --quorum 3 --invite 3 --epochs 2 --context 64 --learning-rate 0.2 -o json | field id) || return 1
  [ -n "$id" ] || return 1
  until_true 240 round_ended "$id" || return 1
  status=$("$skein" round status "$id" -o json)
  echo "$status"
  loss_before=$(echo "$status" | field loss_before)
  loss_after=$(echo "$status" | field loss_after)
  delta_raw_bytes=$(echo "$status" | field raw_bytes)
  delta_packed_bytes=$(echo "$status" | field packed_bytes)
  [ "$(echo "$status" | field state)" = published ] || return 1
  until_true 90 all_active "$(echo "$status" | field result)"
}

round_ended() {
  case $("$skein" round status "$1" -o json | field state) in published | failed) return 0 ;; esac
  return 1
}

# Weights as floats under a budget of memory below the artifact's size: the answer of the whole model.
budget_mib=34
larger_than_memory() {
  local i large=$work/skein-ref-floats.skein whole paged
  "$skein" import "$v2" -o "$large" --precision f32 || return 1
  large_bytes=$("$skein" inspect "$large" --json | field file_bytes)
  budget_bytes=$((budget_mib * 1024 * 1024))
  [ "$budget_bytes" -lt "$large_bytes" ] || return 1
  for i in 1 2 3; do
    eval "kill \"\$pid_edge_$i\" && wait \"\$pid_edge_$i\""
    SKEIN_NODE_MEMORY_BUDGET=${budget_mib}M launch "edge-$i" "$bin/skein-edge" --config "$work/edge-$i.toml"
  done
  publish_and_roll_out "$large" || return 1
  whole=$("$skein" generate "$large" -p "$prompt" -n 60 --temperature 0) || return 1
  paged=$(ask 2 "{\"prompt\":\"$prompt\",\"max_tokens\":60,\"temperature\":0}")
  paged_tokens_per_s=$(echo "$paged" | field decode_tokens_per_s)
  echo "$whole" >"$work/whole.txt"
  echo "$paged" | grep -o '"text":"\([^"\\]\|\\.\)*"' | sed 's/^"text":"//; s/"$//; s/\\n/\n/g; s/\\"/"/g' >"$work/paged.txt"
  paged_equals_whole=false
  cmp "$work/whole.txt" "$work/paged.txt" && paged_equals_whole=true
  peak_memory_bytes=0
  for i in 1 2 3; do
    local peak
    peak=$(metric "$i" skein_memory_peak_bytes)
    [ "$peak" -gt "$peak_memory_bytes" ] && peak_memory_bytes=$peak
  done
  pager_hits=$(metric 2 skein_pager_hits_total)
  pager_misses=$(metric 2 skein_pager_misses_total)
  pager_read_bytes=$(metric 2 skein_pager_read_bytes_total)
  stall_s=$(curl -s "http://127.0.0.1:$(edge_port 2)/metrics" | awk '$1 == "skein_pager_stall_seconds_total" { print $2 }')
  [ "$paged_equals_whole" = true ] && [ "$peak_memory_bytes" -gt 0 ] && [ "$peak_memory_bytes" -le "$budget_bytes" ] &&
    [ $((pager_hits + pager_misses)) -gt 0 ]
}

number() { case ${1:-} in '' | null) echo null ;; *) awk -v v="$1" 'BEGIN { printf "%.10g", v }' ;; esac; }

finish() {
  local json
  json=$(printf '{"steps":[%s],"artifact_bytes":%s,"f32_bytes":%s,"update_bytes":%s,"update_wire_bytes":%s,"decode_tokens_per_s":%s,"first_token_s":%s,"split_equals_local":%s,"loss_before":%s,"loss_after":%s,"delta_raw_bytes":%s,"delta_packed_bytes":%s,"large_artifact_bytes":%s,"memory_budget_bytes":%s,"peak_memory_bytes":%s,"pager_hits":%s,"pager_misses":%s,"pager_read_bytes":%s,"stall_s":%s,"paged_tokens_per_s":%s,"paged_equals_whole":%s}' \
    "$steps_json" "$(number "${artifact_bytes:-}")" "$(number "${f32_bytes:-}")" "$(number "${update_bytes:-}")" "$(number "${update_wire_bytes:-}")" \
    "$(number "${decode_tokens_per_s:-}")" "$(number "${first_token_s:-}")" "${split_equals_local:-false}" \
    "$(number "${loss_before:-}")" "$(number "${loss_after:-}")" \
    "$(number "${delta_raw_bytes:-}")" "$(number "${delta_packed_bytes:-}")" \
    "$(number "${large_bytes:-}")" "$(number "${budget_bytes:-}")" "$(number "${peak_memory_bytes:-}")" \
    "$(number "${pager_hits:-}")" "$(number "${pager_misses:-}")" "$(number "${pager_read_bytes:-}")" \
    "$(number "${stall_s:-}")" "$(number "${paged_tokens_per_s:-}")" "${paged_equals_whole:-false}")
  [ -n "$json_file" ] && echo "$json" >"$json_file"
  [ -n "$failed" ] && exit 1
  row() { printf '  %-42s %s\n' "$1" "$2"; }
  echo
  row "model, float32" "$f32_bytes bytes"
  row "model, artifact (8-bit)" "$artifact_bytes bytes"
  row "update v1 -> v2, pages an edge fetched" "$update_bytes bytes, coded on the link: $update_wire_bytes"
  row "decode" "$(number "$decode_tokens_per_s") tokens/s"
  row "first token over HTTP" "$first_token_s s"
  row "split answer with its link cut = local" "$split_equals_local"
  row "held-out loss, before and after the round" "$(number "$loss_before") -> $(number "$loss_after") nats/token"
  row "updates uploaded, raw and packed" "$delta_raw_bytes -> $delta_packed_bytes bytes"
  row "model larger than the memory, its budget" "$large_bytes bytes, $budget_bytes"
  row "  the most that an edge held" "$peak_memory_bytes bytes"
  row "  pages and rows in memory, waited for" "$pager_hits, $pager_misses; $pager_read_bytes bytes read, $(number "$stall_s") s of waits"
  row "  its answer = that of the whole model" "$paged_equals_whole, $(number "$paged_tokens_per_s") tokens/s"
  if [ -n "$stay" ]; then
    echo
    row "coordinator" "$SKEIN_COORDINATOR (token in $SKEIN_TOKEN_FILE)"
    row "edges" "http://127.0.0.1:$(edge_port 1) http://127.0.0.1:$(edge_port 2) http://127.0.0.1:$(edge_port 3)"
    row "data and logs" "$work"
    row "stop with" "kill ${pids[*]}"
  fi
}
