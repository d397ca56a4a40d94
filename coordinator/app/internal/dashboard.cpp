#include "coordinator/app/internal/dashboard.h"

namespace skein {

namespace {

// Everything shown comes through /api/v1 with the token typed in, and is set as text, never as
// markup: device names come from devices.
constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Skein coordinator</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1d2433; background: #fbfbf9; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e2e2dc; }
input { width: 30rem; max-width: 70%; font: inherit; padding: .3rem; } button { font: inherit; }
.dim { color: #6b7280; } .bad { color: #b42318; }
@media (prefers-color-scheme: dark) { body { color: #e4e6eb; background: #16181d; }
  th, td { border-color: #2c2f36; } }
</style></head><body>
<h1>Skein coordinator</h1>
<form id="who"><input id="token" type="password" placeholder="admin token" autocomplete="off">
<button>Show</button> <span id="note" class="dim"></span></form>
<h2>Devices</h2><table id="devices"></table>
<h2>Rollouts</h2><table id="rollouts"></table>
<h2>Artifacts</h2><table id="artifacts"></table>
<h2>Rounds</h2><table id="rounds"></table>
<h2>Split sessions</h2><table id="sessions"></table>
<script>
"use strict";
const short = d => d ? d.slice(0, 12) : "-";
const when = s => s ? new Date(s * 1000).toLocaleString() : "-";
const loss = x => x === null ? "-" : x.toFixed(4);
const counts = c => Object.entries(c).filter(e => e[1]).map(e => e[0] + " " + e[1]).join(", ");
const views = {
  devices: [["id", "name", "state", "online", "active", "last seen"],
    d => [d.id, d.name, d.state, d.online ? "yes" : "no", short(d.active), when(d.last_seen)]],
  rollouts: [["id", "artifact", "state", "devices", "steps", "changed"],
    r => [r.id, short(r.artifact), r.state, r.devices, counts(r.counts), when(r.changed)]],
  artifacts: [["digest", "name", "version", "bytes", "pages", "imported"],
    a => [short(a.digest), a.name, a.version, a.bytes, a.pages, when(a.imported)]],
  rounds: [["id", "state", "counted", "loss before", "loss after", "result", "reason"],
    r => [r.id, r.state, r.counted + " of " + r.quorum, loss(r.loss_before), loss(r.loss_after),
          short(r.result), r.reason]],
  sessions: [["session", "device", "layers", "step", "idle"],
    s => [s.session, s.device, s.first_layer + " to " + s.end_layer, s.step,
          s.idle_seconds.toFixed(0) + " s"]],
};
const note = document.getElementById("note");
let timer = 0;
function fill(name, list) {
  const [head, cells] = views[name];
  const table = document.getElementById(name);
  table.replaceChildren();
  const row = (tag, values) => {
    const line = table.insertRow();
    for (const value of values) {
      const cell = document.createElement(tag);
      cell.textContent = value;
      line.append(cell);
    }
  };
  row("th", head);
  for (const item of list) row("td", cells(item));
}
async function show() {
  clearTimeout(timer);
  const token = document.getElementById("token").value.trim();
  if (!token) return;
  try {
    for (const name of Object.keys(views)) {
      const answer = await fetch("/api/v1/" + name, {headers: {Authorization: "Bearer " + token}});
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.error.message);
      fill(name, body[name]);
    }
    note.className = "dim";
    note.textContent = "as of " + new Date().toLocaleTimeString();
  } catch (problem) {
    note.className = "bad";
    note.textContent = problem.message;
  }
  timer = setTimeout(show, 3000);
}
document.getElementById("who").addEventListener("submit", e => { e.preventDefault(); show(); });
</script></body></html>
)html";

}  // namespace

std::string_view dashboard_page() { return kPage; }

}  // namespace skein
