// One question: the samples of two arms side by side. Keys: n next, p previous, f flip the two sides.
'use strict';
(function (m) {
  const { html } = m;

  m.Bug = function ({ run, of, where, id, show }) {
    const [row, set] = preactHooks.useState(null);
    const ask = () => m.get(`run/${encodeURIComponent(run)}/bug`, { of, where, id, show }).then(set, e => set({ error: e.message }));
    if (!row) return html`<button class="small bug" onClick=${ask}>row for a bug report</button>`;
    if (row.error) return html`<p class="error">${row.error}</p>`;
    const file = 'data:application/x-ndjson;charset=utf-8,' + encodeURIComponent(row.row + '\n');
    return html`<div class="bug-row"><p>One line of a file that <code>midway verify ${row.file} --explain</code> judges again.
      <button class="small" onClick=${() => navigator.clipboard && navigator.clipboard.writeText(row.row)}>copy</button> <a class="small" download=${row.file} href=${file}>save ${row.file}</a></p>
      <pre class="row">${row.row}</pre></div>`;
  };

  const Sample = ({ run, s, titles, benchmark, where }) => html`<article class=${'sample ' + (s.judgement || '')}>
    <header><span class="dim">#${s.index}</span> <${m.Judged} row=${s}/> <${m.ReadAs} row=${s}/></header>
    ${s.error ? html`<p class="error">${s.error}</p>` : null}
    <${m.Text} pieces=${s.pieces} titles=${titles}/>
    <footer class="dim"><span>${m.count(s.completion_tokens)} tokens</span>${s.finish === 'length' ? html` <span class="tag bad">cut off</span>` : null}
      ${s.logprob != null ? html` <span title="sum of the log-probabilities of its tokens, and the mean of a token">log-prob. ${m.number(s.logprob, 1)} (${m.number(s.logprob / Math.max(1, s.completion_tokens), 2)} a token)</span>` : null}
      ${s.steps_right === false ? html` <span class="tag bad">a step is wrong</span>` : s.steps_right ? html` <span class="tag">every step right</span>` : null}
      <${m.Ways} ways=${s.labels || s.ways} titles=${titles}/>
      <${m.Bug} key=${s.id} run=${run} of=${'benchmark:' + benchmark} where=${where} id=${s.id} show="wrong"/></footer></article>`;

  const Side = ({ run, d, side, which }) => {
    const name = s => { const arm = d.arms.find(a => a.name === s.arm); return `${arm ? arm.title : s.arm}, ${m.PHASES[s.phase]}` + ((arm ? arm.seeds : []).length > 1 ? `, seed ${s.seed}` : ''); };
    const right = side.samples.filter(s => s.judgement === 'correct').length, judged = side.samples.filter(s => s.judgement === 'correct' || s.judgement === 'wrong').length;
    return html`<section class="side" data-side=${which}><h2><${m.Select} label=${which} value=${side.key} options=${d.sides.map(s => [s.key, name(s)])} onpick=${v => m.go({ [which]: v })}/></h2>
      <p class="score"><b>${right}</b> right of ${judged} judged${side.total > side.samples.length ? ` (samples ${side.from + 1} to ${side.from + side.samples.length} of ${side.total})` : ''}</p>
      ${side.missing ? html`<p class="none">There are no samples of this arm yet.</p>` : null}
      ${side.samples.map(s => html`<${Sample} key=${s.id} run=${run} s=${s} titles=${d.titles} benchmark=${d.benchmark} where=${side.key}/>`)}
      ${side.total > side.from + side.samples.length ? html`<a href=${m.with({ from: side.from + side.samples.length })}>further samples ›</a>` : null}</section>`;
  };

  m.screens.question = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/question`, params), d = of.data;
    const to = id => { if (id) m.go({ id, from: null }); };
    const flip = () => { if (d) m.go({ left: d.right.key, right: d.left.key }, true); };
    m.useKeys({ n: () => d && to(d.next), j: () => d && to(d.next), ArrowRight: () => d && to(d.next), p: () => d && to(d.previous), k: () => d && to(d.previous), ArrowLeft: () => d && to(d.previous), f: flip });
    return html`<${m.Data} of=${of}>${d => html`<main class="wide">
      <nav class="pager"><a href=${m.link(run, 'questions', { ...params, id: null, left: null, right: null, from: null })}>‹ all questions</a>
        ${d.previous ? html`<a rel="prev" href=${m.with({ id: d.previous, from: null })}>previous (p)</a>` : html`<span class="off">previous (p)</span>`}
        <span>${d.place == null ? 'not in the filtered list' : `${d.place + 1} of ${m.count(d.of)}`}</span>
        ${d.next ? html`<a rel="next" href=${m.with({ id: d.next, from: null })}>next (n)</a>` : html`<span class="off">next (n)</span>`}
        <button class="small flip" onClick=${flip}>flip sides (f)</button></nav>
      <${m.Question} q=${d.question}/>
      <div class="scroll"><table class="grid strip"><thead><tr>${d.columns.map(c => html`<th class="arm"><span>${c.title}</span><br/><span class="dim">${m.PHASE[c.phase]}</span></th>`)}</tr></thead><tbody><tr>${d.columns.map(c => html`<td class="cell"><span class="cells">
        ${(d.cells[c.key] || []).map(([seed, right, judged]) => html`<${m.Heat} right=${right} of=${judged} title=${`${c.title}, ${m.PHASES[c.phase]}, seed ${seed}`} href=${m.with({ right: `${c.key}.${seed}` })}/>`)}</span></td>`)}</tr></tbody></table></div>
      <div class="sides"><${Side} run=${run} d=${d} side=${d.left} which="left"/><${Side} run=${run} d=${d} side=${d.right} which="right"/></div>
      <p class="dim legend">Highlighted: what was read as the answer. Coloured lines under a text: the way of each step, where a program can tell; wavy: the step is not right.</p>
    </main>`}</${m.Data}>`;
  };
})(window.midway);
