// The heuristics of a pool: what each reaches, how they overlap, what only one solves; and the ways that the arms' samples use.
'use strict';
(function (m) {
  const { html } = m;

  const Arm = ({ run, d, arm }) => {
    const share = (side, way) => arm.labelled[side] ? ((arm[side][way] || [0])[0]) / arm.labelled[side] : null;
    const ways = [...new Set([...Object.keys(arm.before), ...Object.keys(arm.after)])].map(w => ({ way: w, before: share('before', w), after: share('after', w) }));
    ways.sort((a, b) => (a.after - a.before) - (b.after - b.before));
    if (!ways.length) return null;
    return html`<section data-arm=${arm.name}><h3>${arm.title}</h3><div class="scroll"><table><thead><tr><th>way</th><th class="n">before RL</th><th class="n">in the end</th><th class="n">change, points</th><th></th></tr></thead><tbody>
      ${ways.map(w => html`<tr data-way=${w.way}><td><span class=${m.wayClass(w.way, d.titles)}>${d.titles[w.way] || w.way}</span></td><td class="n">${m.percent(w.before)}</td><td class="n">${m.percent(w.after)}</td><td class=${'n diff ' + (w.after > w.before ? 'up' : w.after < w.before ? 'down' : '')}>${w.before == null || w.after == null ? '–' : (100 * (w.after - w.before)).toFixed(1).replace('-', '−')}</td>
        <td><a class="gone" href=${m.link(run, 'questions', { benchmark: d.benchmark, arm: arm.name, filter: 'way-gone', way: w.way })}>where it is gone</a> · <a href=${m.link(run, 'questions', { benchmark: d.benchmark, arm: arm.name, way: w.way })}>where it is used</a></td></tr>`)}</tbody></table></div></section>`;
  };

  m.screens.heuristics = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/heuristics`, params);
    return html`<${m.Data} of=${of}>${d => {
      const names = [...new Set(d.overlap.map(o => o.a))], cell = Object.fromEntries(d.overlap.map(o => [o.a + ' ' + o.b, o])), title = n => d.titles[n] || n;
      const arm = d.selections[0], open = (h, filter) => arm ? m.link(run, 'solutions', { arm, heuristic: h, filter }) : null;
      const some = d.arms.some(a => Object.keys(a.before).length || Object.keys(a.after).length);
      return html`<main class="wide"><h1>Heuristics</h1><div class="controls">
        <${m.Select} label="pool" value=${d.pool} options=${d.pools.map(p => [p, p])} onpick=${v => m.go({ pool: v, heuristic: null })}/>
        ${d.benchmarks.length ? html`<${m.Select} label="benchmark" value=${d.benchmark} options=${d.benchmarks.map(b => [b, b])} onpick=${v => m.go({ benchmark: v })}/>` : null}</div>
      ${d.rows.length ? html`<section><h2>Reach</h2><p class="dim">Of ${m.count(d.questions)} training questions: solved at least once with each heuristic, and solved by no other. The numbers open the questions.</p>
      <div class="scroll"><table class="reach"><thead><tr><th>heuristic</th><th class="n">solves</th><th></th><th class="n">only this one</th><th class="n">right of judged</th><th class="n">cut off</th><th class="n">adherence</th><th></th></tr></thead>
      <tbody>${d.rows.map(r => html`<tr key=${r.heuristic} data-heuristic=${r.heuristic}><td>${title(r.heuristic)}</td><td class="n">${open(r.heuristic) ? html`<a class="solved" href=${open(r.heuristic)}>${r.solved}</a>` : r.solved}</td><td class="wide-bar"><${m.Bar} share=${r.solved / Math.max(1, d.questions)}/></td>
        <td class="n">${open(r.heuristic) ? html`<a class="only" href=${open(r.heuristic, 'only')}>${r.only}</a>` : r.only}</td><td class="n">${r.right}/${r.judged}</td><td class="n">${r.cut || ''}</td><td class="n">${m.number(r.adherence, 3)}</td>
        <td><a class="examples" href=${m.with({ heuristic: r.heuristic })}>examples</a></td></tr>`)}</tbody></table></div></section>
      ${d.picked ? html`<section class="examples-of"><h2>${title(d.picked)}: examples</h2>${d.examples.length ? null : html`<p class="none">None of its completions is right.</p>`}${d.examples.map(e => html`<article class="sample kept"><p class="text"><${m.Plain} text=${e.text || ''}/></p><${m.Text} pieces=${e.pieces} titles=${{}}/>
        <footer class="dim">${arm ? html`<a href=${m.link(run, 'solution', { arm, id: e.question_id })}>${e.name}</a>` : e.name}${e.adherence != null ? ' · adherence ' + m.number(e.adherence, 3) : ''}</footer></article>`)}</section>` : null}
      ${names.length > 1 ? html`<section><h2>Overlap</h2><p class="dim">Row and column: questions that both solve. The diagonal: all that it solves.</p><div class="scroll"><table class="overlap"><thead><tr><th></th>${names.map(n => html`<th class="tilt"><span>${title(n)}</span></th>`)}</tr></thead>
        <tbody>${names.map(a => html`<tr><th>${title(a)}</th>${names.map(b => { const o = cell[a + ' ' + b], all = cell[a + ' ' + a].both; return html`<td class="cell"><span class=${'heat' + (a === b ? ' self' : '')} style=${{ '--share': Math.round(100 * (all ? o.both / all : 0)) + '%' }} title=${a === b ? `${title(a)} solves ${o.both}` : `both solve ${o.both}; ${title(a)} alone ${o.alone}`}>${o.both}</span></td>`; })}</tr>`)}</tbody></table></div></section>` : null}`
      : html`<p class="none">This pool has no completions yet.</p>`}
      ${some ? html`<section class="ways-of-arms"><h2>Ways in the samples: what RL does more, and what it stopped doing</h2><p class="dim">Share of labelled samples on ${d.benchmark} that use a way; a sample may use several. What fell most comes first.</p>${d.arms.map(a => html`<${Arm} key=${a.name} run=${run} d=${d} arm=${a}/>`)}</section>`
        : html`<p class="none">No sample of this run is labelled with the ways it uses (recipe: <code>labels</code>).</p>`}</main>`;
    }}</${m.Data}>`;
  };
})(window.midway);
