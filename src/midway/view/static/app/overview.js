// The runs; and of one run: what it says, its arms, alarms, and how far it is.
'use strict';
(function (m) {
  const { html } = m;

  m.screens = {};
  const live = data => data.state === 'running' || (data.runs || []).some(r => r.state === 'running') ? 3 : 15;

  const Progress = ({ now }) => (now || []).map(s => html`<p class="now" key=${s.rel}><b>${s.kind}</b> <span class="dim">${s.rel}</span><br/>
    ${s.total ? html`<${m.Bar} share=${s.done / s.total}/> ${m.count(s.done)} of ${m.count(s.total)}` : s.done != null ? m.count(s.done) + ' done' : 'at work'}
    ${s.rate ? `, ${m.number(s.rate, s.rate < 10 ? 2 : 0)}/s` : ''}${s.left != null ? `, ${m.duration(s.left)} left` : ''} ${s.note ? html`<span class="dim">${s.note}</span>` : null}</p>`);

  m.screens.runs = function () {
    const of = m.useData('runs', {}, live);
    return html`<${m.Data} of=${of}>${data => html`<main><h1>Runs</h1>
      ${data.runs.length ? null : html`<p>No run is here yet. Start one: <code>midway demo</code>.</p>`}
      <div class="scroll"><table class="runs"><thead><tr><th>run</th><th>state</th><th class="n">stages</th><th class="n">time</th><th class="n">tokens</th><th class="n">alarms</th></tr></thead>
      <tbody>${data.runs.map(r => html`<tr key=${r.run}><td><a href=${m.link(r.run, 'overview')}><b>${r.run}</b></a><br/><span class="dim">${r.title}</span></td>
        <td><${m.State} state=${r.state}/></td><td class="n">${r.total == null ? '' : `${r.done}/${r.total}`}</td><td class="n">${m.duration(r.seconds)}</td><td class="n">${m.short(r.tokens)}</td>
        <td class="n">${r.alarms || ''}</td></tr>`)}</tbody></table></div></main>`}</${m.Data}>`;
  };

  const rate = s => s && s[1] ? `${(100 * s[0] / s[1]).toFixed(1)} %` : '–';
  const says = s => s ? `${m.count(s[0])} right of ${m.count(s[1])} judged, ${m.count(s[2])} samples` : 'no samples yet';

  m.screens.overview = function ({ run }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/overview`, {}, live);
    return html`<${m.Data} of=${of}>${d => html`<main>
      <h1>${d.run} <${m.State} state=${d.state}/></h1><p class="dim">${d.title}</p>
      <p>${d.done} of ${d.total} stages, ${m.duration(d.seconds)}, ${m.short(d.tokens)} tokens written${d.report && m.live ? html` · <a href=${'/report/' + encodeURIComponent(d.run) + '/report.html'}>the report</a>` : null}</p>
      <${Progress} now=${d.now}/>
      ${d.verdict ? html`<section class=${'verdict ' + d.verdict.tone}><h2>${d.verdict.headline}</h2>${d.verdict.sentences.map(s => html`<p>${s}</p>`)}</section>`
        : html`<section class="verdict none"><p>There is no verdict yet: the report is made when the run ends, or by <code>midway report ${d.run}</code>. The counts below are what is there now.</p></section>`}
      ${d.alarms.length ? html`<section class="alarms"><h2>Alarms</h2><ul>${d.alarms.map(a => html`<li><b>${a.arm}, seed ${a.seed}:</b> ${a.what} <span class="dim">${a.advice}</span>
        ${d.has.rollouts.includes(a.arm) ? html` <a href=${m.link(run, 'rollouts', { arm: a.arm, seed: a.seed, step: a.step })}>rollouts of step ${a.step}</a>` : null}</li>`)}</ul></section>` : null}
      <section><h2>Arms</h2><p class="dim">Right of judged samples, all seeds together. Each number opens its questions.</p>
      <div class="scroll"><table class="arms"><thead><tr><th>arm</th>${d.benchmarks.map(b => html`<th colspan="2" class="n">${b}</th>`)}</tr>
        <tr><th></th>${d.benchmarks.map(() => html`<th class="n dim">before RL</th><th class="n dim">in the end</th>`)}</tr></thead><tbody>
        ${d.arms.map(a => html`<tr key=${a.name}><td>${a.title}${a.name === d.treatment ? html` <span class="tag">treatment</span>` : a.name === d.control ? html` <span class="tag">control</span>` : null}${a.name.replace(/[-_]/g, ' ') === a.title ? null : html`<br/><span class="dim">${a.name}</span>`}</td>
          ${d.benchmarks.map(b => ['before', 'after'].map(side => html`<td class="n"><a data-arm=${a.name} data-benchmark=${b} data-side=${side} title=${says(a.scores[b][side])}
            href=${m.link(run, 'questions', { benchmark: b, arm: a.name, sort: side, order: 'down' })}>${rate(a.scores[b][side])}</a></td>`))}</tr>`)}</tbody></table></div></section>
      <section class="ask"><h2>Ask</h2><ul>
        <li><a href=${m.link(run, 'questions', { filter: 'broken', sort: 'gain' })}>Which questions did RL break?</a></li>
        <li><a href=${m.link(run, 'heuristics')}>Which heuristic solves what no other does? What did RL stop doing?</a></li>
        <li><a href=${m.link(run, 'verifier', { show: 'agreed' })}>Is the verifier wrong anywhere?</a></li>
        ${d.has.selections.length ? html`<li><a href=${m.link(run, 'solutions')}>What would I train on?</a></li>` : null}</ul></section>
      ${d.problems.length ? html`<details><summary>${d.problems.length} things are missing</summary><ul>${d.problems.map(p => html`<li><b>${p.where}</b> ${p.what}. ${p.effect}</li>`)}</ul></details>` : null}
      ${d.cost.length ? html`<details><summary>Cost</summary><table><thead><tr><th>what</th><th class="n">time</th><th class="n">tokens read and written</th></tr></thead><tbody>${d.cost.map(c => html`<tr><td>${c.owner}</td><td class="n">${m.duration(c.seconds)}</td><td class="n">${m.short(c.tokens)}</td></tr>`)}</tbody></table></details>` : null}
      <details><summary>Stages</summary><div class="scroll"><table><thead><tr><th>state</th><th>stage</th><th class="n">time</th><th class="n">tokens</th></tr></thead>
        <tbody>${d.stages.map(s => html`<tr key=${s.rel}><td><${m.State} state=${s.state}/></td><td>${s.rel}${s.error ? html`<br/><span class="error">${s.error}</span>` : null}</td><td class="n">${s.seconds ? m.duration(s.seconds) : ''}</td><td class="n">${s.tokens ? m.short(s.tokens) : ''}</td></tr>`)}</tbody></table></div></details>
    </main>`}</${m.Data}>`;
  };
})(window.midway);
