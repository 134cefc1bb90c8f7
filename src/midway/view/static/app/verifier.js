// Is the verifier wrong anywhere? The samples to look at, how each was read, a row for a bug report.
'use strict';
(function (m) {
  const { html } = m, { useState } = preactHooks;

  const Reading = function ({ run, of, where, id, copied }) {
    const [lines, set] = useState(null), [asked, ask] = useState(false);
    if (!m.live && !copied) return null;
    const read = () => { if (copied) return set(copied); ask(true); m.get(`run/${encodeURIComponent(run)}/reading`, { of, where, id }).then(d => set(d.lines), e => set([e.message])); };
    if (lines) return html`<ol class="reading">${lines.map(l => html`<li><${m.Plain} text=${l}/></li>`)}</ol>`;
    return html`<button class="small how" disabled=${asked} onClick=${read}>${asked ? 'reading …' : 'how it was read'}</button>`;
  };

  const place = p => p.replace(/^benchmark:/, 'evaluations of ').replace(/^pool:/, 'pool ').replace(/^rollouts:/, 'rollouts of ');

  m.screens.verifier = function ({ run, params }) {
    const of = m.useData(`run/${encodeURIComponent(run)}/verifier`, params);
    return html`<${m.Data} of=${of}>${d => html`<main class="wide"><h1>Verifier</h1>
      <div class="controls"><${m.Select} label="look at" value=${d.of} options=${d.places.map(p => [p, place(p)])} onpick=${v => m.go({ of: v, page: null })}/><${m.Search} label="text" value=${params.q}/></div>
      <div class="chips" role="group" aria-label="kinds">${d.kinds.map(k => html`<a key=${k.name} class=${'chip' + (k.name === d.show ? ' on' : '')} data-kind=${k.name} title=${k.says} href=${m.with({ show: k.name, page: null })}>${k.title} <b>${m.count(k.count)}</b></a>`)}</div>
      <p class="dim">${d.kinds.find(k => k.name === d.show).says}.${params.question ? html` Of one question. <a href=${m.with({ question: null, page: null })}>Of all</a>` : null}${d.left_out ? ` ${m.count(d.left_out)} more are in the run.` : ''}</p>
      ${d.rows.length ? d.rows.map(r => html`<article class=${'sample ' + (r.judgement || '')} key=${r.where + r.id} data-id=${r.id}>
        <header><${m.Judged} row=${r}/> <${m.ReadAs} row=${r}/> ${r.gold != null ? html`<span class="dim">gold</span> <code class="gold"><${m.Plain} text=${r.gold} max=${200}/></code>` : null}
          ${r.same ? html` <a class="tag bad same" href=${m.with({ question: r.question_id, page: null })}>${r.same} of ${r.judged} judged samples give this answer</a>` : null}</header>
        <${m.Text} pieces=${r.pieces} titles=${d.titles}/>
        <footer class="dim">${m.count(r.completion_tokens)} tokens${r.finish === 'length' ? html` <span class="tag bad">cut off</span>` : null} · ${r.where} ·
          ${d.of.startsWith('benchmark:') ? html` <a class="open" href=${m.link(run, 'question', { benchmark: d.of.slice(10), id: r.question_id, right: r.where })}><${m.Plain} text=${r.name}/></a>` : html` <${m.Plain} text=${r.name}/>`}
          ${' '}<${Reading} key=${'r' + r.id} run=${run} of=${d.of} where=${r.where} id=${r.id} copied=${r.reading}/> <${m.Bug} key=${'b' + r.id} run=${run} of=${d.of} where=${r.where} id=${r.id} show=${d.show}/></footer></article>`)
        : html`<p class="none">There is none.</p>`}
      <${m.Pager} data=${d}/></main>`}</${m.Data}>`;
  };
})(window.midway);
