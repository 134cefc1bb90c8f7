// Questions x arms: a heat map of how many samples are right of those judged, for each arm, phase and seed.
'use strict';
(function (m) {
  const { html } = m;

  const Cells = ({ run, row, column, params }) => {
    const seeds = row.cells[column.key] || [];
    if (!seeds.length) return html`<td class="cell"><span class="heat none">–</span></td>`;
    return html`<td class="cell"><span class="cells">${seeds.map(([seed, right, judged, samples, none, cut]) => html`<${m.Heat} right=${right} of=${judged}
      title=${`${column.title}, ${m.PHASES[column.phase]}, seed ${seed}: ${right} right of ${judged} judged` + (samples > judged ? `, ${samples - judged} unjudged` : '') + (none ? `, ${none} without an answer` : '') + (cut ? `, ${cut} cut off` : '')}
      href=${m.link(run, 'question', { ...params, id: row.id, page: null, right: `${column.key}.${seed}` })}/>`)}</span></td>`;
  };

  m.screens.questions = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/questions`, params);
    return html`<${m.Data} of=${of}>${d => {
      const on = (params.filter || '').split(',').filter(Boolean), title = name => (d.arms.find(a => a.name === name) || {}).title || name;
      const arms = d.arms.map(a => [a.name, a.title]);
      return html`<main class="wide"><h1>Questions × arms</h1>
      <div class="controls">
        <${m.Select} label="benchmark" value=${d.benchmark} options=${d.benchmarks.map(b => [b, b])} onpick=${v => m.go({ benchmark: v, page: null, subject: null, level: null })}/>
        <${m.Select} label="arm" value=${d.arm} options=${arms} onpick=${v => m.go({ arm: v, page: null })}/>
        <${m.Select} label="minus" value=${d.control || ''} options=${arms} onpick=${v => m.go({ control: v, page: null })}/>
        ${Object.keys(d.ways).length ? html`<${m.Select} label="way" value=${params.way || ''} options=${[['', 'any'], ...Object.entries(d.ways)]} onpick=${v => m.go({ way: v, page: null })}/>` : null}
        ${d.subjects.length ? html`<${m.Select} label="subject" value=${params.subject || ''} options=${[['', 'any'], ...d.subjects.map(s => [s, s])]} onpick=${v => m.go({ subject: v, page: null })}/>` : null}
        ${d.levels.length ? html`<${m.Select} label="level" value=${params.level || ''} options=${[['', 'any'], ...d.levels.map(s => [s, s])]} onpick=${v => m.go({ level: v, page: null })}/>` : null}
        <${m.Select} label="sort by" value=${d.sort} options=${Object.entries(d.sorts)} onpick=${v => m.go({ sort: v, page: null })}/>
        <${m.Search} label="text" value=${params.q}/>
      </div>
      <${m.Chips} filters=${d.filters} on=${on}/>
      <p class="dim">${m.count(d.total)} of ${m.count(d.all)} questions. ${on.length ? on.map(n => d.filters.find(f => f.name === n)).filter(Boolean).map(f => f.title + ': ' + f.says).join('. ') + '.' : 'Each cell: samples right of those judged, one box a seed.'}
        ${d.left_out ? ` ${m.count(d.left_out)} more are in the run.` : ''}</p>
      ${d.rows.length ? html`<div class="scroll"><table class="grid"><thead>
        <tr><th class="name">${html`<${m.Sort} data=${d} sort="name">question</${m.Sort}>`}</th>
          <th class="n"><${m.Sort} data=${d} sort="diff"><span title=${`${title(d.arm)} minus ${title(d.control)}, final models, in points`}>difference</span></${m.Sort}></th>
          <th class="n"><${m.Sort} data=${d} sort="gain"><span title=${`${title(d.arm)}: after RL minus before, in points`}>by RL</span></${m.Sort}></th>
          ${d.columns.map(c => html`<th class=${'arm' + (c.arm === d.arm ? ' treatment' : c.arm === d.control ? ' control' : '')}><span>${c.title}</span><br/><span class="dim">${m.PHASE[c.phase]}</span></th>`)}</tr></thead>
        <tbody>${d.rows.map(r => html`<tr key=${r.id} data-id=${r.id}>
          <th class="name" scope="row"><a class="open" href=${m.link(run, 'question', { ...params, id: r.id, page: null })}><${m.Plain} text=${r.name}/></a>
            <span class="dim line"><${m.Plain} text=${r.text} max=${140}/></span></th>
          <td class=${'n diff ' + (r.diff > 0 ? 'up' : r.diff < 0 ? 'down' : '')}>${m.points(r.diff)}</td><td class=${'n diff ' + (r.gain > 0 ? 'up' : r.gain < 0 ? 'down' : '')}>${m.points(r.gain)}</td>
          ${d.columns.map(c => html`<${Cells} run=${run} row=${r} column=${c} params=${params}/>`)}</tr>`)}</tbody></table></div>
      <${m.Pager} data=${d}/>` : html`<p class="none">No question passes these filters. <a href=${m.with({ filter: null, q: null, way: null, subject: null, level: null, page: null })}>Take them away</a></p>`}
      </main>`;
    }}</${m.Data}>`;
  };
})(window.midway);
