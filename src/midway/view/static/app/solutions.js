// What would be trained on: training questions, and for one of them what was kept beside what was dropped, and why.
'use strict';
(function (m) {
  const { html } = m, { useState } = preactHooks;

  const Arms = ({ d, params }) => html`<${m.Select} label="arm" value=${d.arm} options=${d.arms.map(a => [a.name, a.title])} onpick=${v => m.go({ arm: v, seed: null, page: null })}/>
    ${(d.arms.find(a => a.name === d.arm) || { seeds: [] }).seeds.length > 1 ? html`<${m.Select} label="seed" value=${String(d.seed)} options=${d.arms.find(a => a.name === d.arm).seeds.map(s => [String(s), String(s)])} onpick=${v => m.go({ seed: v, page: null })}/>` : null}`;

  m.screens.solutions = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/solutions`, params);
    return html`<${m.Data} of=${of}>${d => {
      const on = (params.filter || '').split(',').filter(Boolean), top = Math.max(1, ...d.funnel.map(f => f.count));
      return html`<main><h1>Solutions</h1>
      <div class="controls"><${Arms} d=${d} params=${params}/>
        <${m.Select} label="solved by" value=${params.heuristic || ''} options=${[['', 'any heuristic'], ...Object.entries(d.titles)]} onpick=${v => m.go({ heuristic: v, page: null })}/>
        <${m.Select} label="sort by" value=${d.sort} options=${Object.entries(d.sorts)} onpick=${v => m.go({ sort: v, order: null, page: null })}/>
        <${m.Search} label="text" value=${params.q}/></div>
      ${d.funnel.length ? html`<details class="funnel" open><summary>The funnel: from what was asked to what is kept</summary><table><tbody>${d.funnel.map(f => html`<tr data-step=${f.step}><td>${f.step}</td><td class="n">${m.count(f.count)}</td><td class="wide-bar"><${m.Bar} share=${f.count / top}/></td></tr>`)}</tbody></table></details>` : html`<p class="none">The selection of this arm has not run yet.</p>`}
      <${m.Chips} filters=${d.filters} on=${on}/>
      <div class="scroll"><table class="list"><thead><tr><th><${m.Sort} data=${d} sort="name">question</${m.Sort}></th><th class="n"><${m.Sort} data=${d} sort="written" down>written</${m.Sort}></th><th class="n"><${m.Sort} data=${d} sort="right" down>right</${m.Sort}></th>
        <th class="n"><${m.Sort} data=${d} sort="kept" down>kept</${m.Sort}></th><th><${m.Sort} data=${d} sort="ways" down>solved by</${m.Sort}></th></tr></thead>
      <tbody>${d.rows.map(r => html`<tr key=${r.id} data-id=${r.id}><td><a class="open" href=${m.link(run, 'solution', { arm: d.arm, seed: d.seed, id: r.id })}><${m.Plain} text=${r.name}/></a><br/><span class="dim"><${m.Plain} text=${r.text || ''} max=${160}/></span></td>
        <td class="n">${r.written}</td><td class="n">${r.right}</td><td class="n"><b>${r.kept}</b></td><td>${r.solved_by.map(h => d.titles[h] || h).join(', ')}</td></tr>`)}</tbody></table></div>
      <${m.Pager} data=${d}/></main>`;
    }}</${m.Data}>`;
  };

  const Prompt = function ({ run, c }) {
    const [shown, set] = useState(c.prompt || null), [open, toggle] = useState(false);
    const ask = () => { toggle(!open); if (!shown && m.live) m.get(`run/${encodeURIComponent(run)}/prompt`, { pool: c.pool, id: c.id }).then(set, e => set({ says: e.message, messages: [] })); };
    if (!m.live && !c.prompt) return null;
    return html`<button class="small prompt" onClick=${ask}>${open ? 'hide the prompt' : 'the prompt'}</button>
      ${open && shown ? html`<div class="prompt-box">${shown.exact ? html`<p class="dim exact">Exactly what the model saw: the completion's id confirms it to the letter${shown.chat ? " (before the model's chat template)" : ''}.</p>` : html`<p class="dim">${shown.says}</p>`}<${m.Messages} messages=${shown.messages}/></div>` : null}`;
  };

  const joined = c => c.pieces.map(p => p[0]).join('');

  const Completion = function ({ run, c, all }) {
    const [diff, show] = useState(false), kept = c.fate === 'kept', other = c.other && all.find(x => x.id === c.other);
    return html`<article class=${'sample ' + (kept ? 'kept' : 'dropped')} id=${'c-' + c.id} data-fate=${c.fate}>
      <header><span class=${'fate ' + (kept ? 'kept' : 'dropped')}>${kept ? 'kept' : c.fate === 'not taken' || c.fate === 'not judged yet' ? c.fate : 'dropped at: ' + c.fate}</span> ${c.why ? html`<span class="reason"><${m.Plain} text=${c.why}/></span> ` : null}
        <${m.Judged} row=${c}/> <${m.ReadAs} row=${c}/></header>
      ${diff && other ? html`<${m.DiffView} from=${joined(other)} to=${joined(c)}/>` : html`<${m.Text} pieces=${c.pieces} titles=${{}}/>`}
      <footer class="dim">${m.count(c.completion_tokens)} tokens · pool ${c.pool}, sample ${c.index}${c.adherence != null ? html` · adherence <b>${m.number(c.adherence, 3)}</b>` : ''}
        ${other ? html` · <button class="small diff-button" onClick=${() => show(!diff)}>${diff ? 'the text' : 'difference from what it copies'}</button>` : null} <${Prompt} run=${run} c=${c}/></footer></article>`;
  };

  m.screens.solution = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/solution`, params);
    return html`<${m.Data} of=${of}>${d => {
      const all = d.groups.flatMap(g => g.completions);
      return html`<main class="wide"><nav class="pager"><a href=${m.link(run, 'solutions', { arm: d.arm, seed: d.seed })}>‹ all training questions</a> <span class="controls"><${Arms} d=${d} params=${params}/></span></nav>
      <${m.Question} q=${d.question}/>
      <p><b>${d.kept}</b> kept of ${all.length} written for it.</p>
      ${d.trained_on ? html`<details class="trained"><summary>The prompt that the kept ones are trained to answer</summary><${m.Messages} messages=${d.trained_on}/></details>` : null}
      ${d.references.map(t => html`<article class="sample kept"><header><span class="fate kept">kept</span> reference solution</header><div class="text" dir="auto">${m.visible(t)}</div></article>`)}
      ${d.groups.map(g => html`<section class="heuristic" key=${g.heuristic}><h2>${d.titles[g.heuristic] || g.heuristic}</h2>
        <div class="sides"><div class="side">${g.completions.filter(c => c.fate === 'kept').map(c => html`<${Completion} key=${c.id} run=${run} c=${c} all=${all}/>`)}${g.completions.some(c => c.fate === 'kept') ? null : html`<p class="none">nothing kept</p>`}</div>
        <div class="side">${g.completions.filter(c => c.fate !== 'kept').map(c => html`<${Completion} key=${c.id} run=${run} c=${c} all=${all}/>`)}${g.completions.some(c => c.fate !== 'kept') ? null : html`<p class="none">nothing dropped</p>`}</div></div></section>`)}
      </main>`;
    }}</${m.Data}>`;
  };
})(window.midway);
