"""A self-contained HTML page that steps forward and back through a counterexample."""
# ruff: noqa: E501 - the page keeps its own lines

from __future__ import annotations

import html
import json

from sim.explore.counterexample import Counterexample

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:1rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.3rem}code,pre,table{font-family:ui-monospace,monospace;font-size:13px}
#bar{position:sticky;top:0;background:#fff;padding:.5rem 0;border-bottom:1px solid #999}
button{font-size:1rem;min-width:3rem;min-height:2.4rem;margin-right:.4rem}
.lanes{display:grid;grid-template-columns:repeat(@LANES@,1fr);gap:.4rem;margin-top:.8rem}
.lane{border:1px solid #888;border-radius:4px;padding:.4rem;min-width:0;overflow-wrap:anywhere}
.lane h2{font-size:1rem;margin:0}.act{background:#fff1c9}.state{color:#333}
ol{padding-left:2.6rem}li{cursor:pointer;padding:.1rem .3rem}li.now{background:#fff1c9}li.bad{border-left:4px solid #b00020}
.reason{border-left:4px solid #b00020;padding-left:.6rem}
pre{white-space:pre-wrap;background:#f4f4f4;padding:.5rem}
</style></head><body>
<h1>@TITLE@</h1><p class="reason">@REASON@</p><pre>@COMMAND@</pre>
<div id="bar"><button id="first" aria-label="first step">|&lt;</button><button id="back" aria-label="one step back">&lt;</button>
<button id="next" aria-label="one step forward">&gt;</button><button id="last" aria-label="last step">&gt;|</button>
<span id="at" aria-live="polite"></span> <small>(arrow keys work too)</small></div>
<div class="lanes" id="lanes"></div><h2>Page directories and CPU sets after the step</h2><pre id="tables"></pre>
<h2>All steps</h2><ol id="steps"></ol>
<script>
"use strict";
const data=@DATA@;let at=0;const $=id=>document.getElementById(id);
const lanes=[];for(let i=0;i<data.ncpus;i++){const d=document.createElement("div");d.className="lane";$("lanes").append(d);lanes.push(d)}
data.steps.forEach((s,i)=>{const li=document.createElement("li");li.textContent="cpu"+s.cpu+(s.actor==="cpu"?"":" ("+s.actor+")")+": "+s.lines.join(" | ");
if(i===data.steps.length-1)li.classList.add("bad");li.onclick=()=>show(i);$("steps").append(li)});
function show(i){at=Math.max(0,Math.min(data.steps.length-1,i));const s=data.steps[at];if(!s)return;
$("at").textContent="step "+(at+1)+" of "+data.steps.length;
lanes.forEach((d,c)=>{d.textContent="";const h=document.createElement("h2");h.textContent="cpu"+c;d.append(h);
const p=document.createElement("p");p.className="state";p.textContent=s.cpus[c];d.append(p);d.classList.toggle("act",c===s.cpu);
if(c===s.cpu)s.lines.forEach(l=>{const q=document.createElement("div");q.textContent=l;d.append(q)})});
$("tables").textContent=s.tables.join("\\n");
[...$("steps").children].forEach((li,n)=>li.classList.toggle("now",n===at))}
$("first").onclick=()=>show(0);$("back").onclick=()=>show(at-1);$("next").onclick=()=>show(at+1);$("last").onclick=()=>show(1e9);
document.addEventListener("keydown",e=>{if(e.key==="ArrowRight")show(at+1);if(e.key==="ArrowLeft")show(at-1)});
show(0);
</script></body></html>
"""


def render(example: Counterexample) -> str:
    """The page's source."""
    steps = [
        {"cpu": s.cpu, "actor": s.actor, "lines": s.lines, "cpus": s.after.cpus, "tables": s.after.tables}
        for s in example.steps
    ]
    data = json.dumps({"ncpus": example.ncpus, "steps": steps}).replace("</", "<\\/")
    under = f"{example.profile}, memory {example.memory}" + (f", planted {example.planted}" if example.planted else "")
    title = html.escape(f"{example.litmus}: {example.broken.invariant} ({under})")
    parts = {
        "@TITLE@": title,
        "@LANES@": str(example.ncpus),
        "@REASON@": html.escape(example.broken.reason),
        "@COMMAND@": html.escape(example.command),
        "@DATA@": data,
    }
    page = _PAGE
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page
